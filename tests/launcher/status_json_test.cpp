#include "launcher/supervisor/status_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "launcher/sample_status.h"
#include "launcher/supervisor/status_file.h"
#include "support/temporary_folder.h"

namespace athanor {
namespace {

using Json = nlohmann::ordered_json;
using launcher_test::sample_status;

TEST(StatusJson, TextAndBackIsTheSameStatus) {
  const Json json = to_json(sample_status());
  const Json again = to_json(job_status_from(Json::parse(json.dump())));
  EXPECT_EQ(json.dump(1), again.dump(1));
  const JobStatus status = job_status_from(json);
  EXPECT_EQ(status.picture.ranks.at(3).presence, watch::Presence::silent);
  EXPECT_EQ(status.picture.ranks.at(0).activity.phase, watch::Phase::training);
  EXPECT_STREQ(status.picture.ranks.at(0).activity.newest.name.data(), "gradients");
  EXPECT_EQ(status.faults.at(1).exit_code, 5);
  EXPECT_FALSE(status.exit_code.has_value());
}

TEST(StatusJson, NoValueIsLost) {
  // A field that has a value of its own in the sample must not come back as a default.
  const Json json = to_json(sample_status());
  const Json nothing = to_json(JobStatus{});
  for (const char* part : {"job", "run", "progress", "checkpoint", "dropped_callers"}) {
    for (const auto& [key, value] : json.at(part).items()) {
      if (key == "exit_code" || key == "watchdog_timeout_s") continue;
      EXPECT_NE(value, nothing.at(part).at(key)) << part << '.' << key;
    }
  }
}

TEST(StatusJson, NumbersThatAreNotFiniteAndThingsNotKnownAreNull) {
  JobStatus status = sample_status();
  status.picture.news.loss = std::numeric_limits<double>::quiet_NaN();
  status.picture.news.checkpoint_step = -1;
  status.picture.news.accuracy = -1;
  const Json json = to_json(status);
  EXPECT_TRUE(json.at("progress").at("loss").is_null());
  EXPECT_TRUE(json.at("progress").at("accuracy").is_null());
  EXPECT_TRUE(json.at("checkpoint").at("step").is_null());
  const JobStatus again = job_status_from(Json::parse(json.dump()));
  EXPECT_TRUE(std::isnan(again.picture.news.loss));
  EXPECT_EQ(again.picture.news.checkpoint_step, -1);
  EXPECT_EQ(again.picture.news.accuracy, -1);
}

TEST(StatusJson, AnOlderVersionsFileIsReadAndAWrongOneRefused) {
  EXPECT_EQ(job_status_from(Json::parse(R"({"job": {"state": "running"}})")).state, "running");
  for (const char* wrong : {R"({"job": {"state": 3}})", R"({"ranks": [{"rank": "one"}]})", R"({"ranks": [7]})",
                            R"({"ranks": {"a": []}})", R"({"faults": [{"step": "x"}]})"}) {
    EXPECT_THROW(job_status_from(Json::parse(wrong)), DataError) << wrong;
  }
}

TEST(StatusFile, SaysWhoWroteItAndWhen) {
  const testing::TemporaryFolder folder;
  EXPECT_FALSE(read_status_file(folder.path()).has_value());
  ASSERT_TRUE(write_status_file(folder.path(), sample_status()));
  const std::optional<StatusFile> file = read_status_file(folder.path());
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(file->pid, ::getpid());
  EXPECT_FALSE(file->host.empty());
  EXPECT_GT(file->written_unix_s, 1.7e9);
  EXPECT_EQ(to_json(file->status), to_json(sample_status()));
}

TEST(StatusFile, AFolderThatIsGoneEndsNothing) {
  const testing::TemporaryFolder folder;
  EXPECT_FALSE(write_status_file(folder.path() / "gone", sample_status()));
}

TEST(StatusFile, WhatIsNoStatusIsRefusedWithItsName) {
  const testing::TemporaryFolder folder;
  for (const char* text : {"", "{", "[1, 2]", "null", R"({"ranks": [7]})", R"({"written_unix_s": "now"})",
                           R"({"supervisor": {"pid": "x"}})"}) {
    std::ofstream(folder.path() / "status.json") << text;
    try {
      read_status_file(folder.path());
      ADD_FAILURE() << "was taken: " << text;
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("status.json is no job's status"));
    }
  }
}

}  // namespace
}  // namespace athanor
