#include "train/summary.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "train/folders.h"

namespace athanor {
namespace {

using testing::read_file;
using testing::TemporaryFolder;

Summary finished() {
  Summary summary;
  summary.status = "done";
  summary.steps = 4680;
  summary.samples = 599040;
  summary.epochs = 10;
  summary.train_seconds = 83.5;
  summary.images_per_s = 7200;
  summary.loss = 0.1;
  summary.accuracy = 0.9356;
  summary.best_accuracy = 0.9361;
  summary.weights_sha256 = "abc";
  summary.peak_bytes = 123456789;
  return summary;
}

std::string printed(const Summary& summary) {
  const TemporaryFolder folder;
  std::FILE* const out = std::fopen((folder.path() / "out").c_str(), "w");
  print_summary(out, summary,
                {.run_folder = "runs/a", .recipe = "a.yaml", .program = "build/athanor", .total_steps = 9000});
  std::fclose(out);
  return read_file(folder.path() / "out");
}

TEST(Summary, HoldsWhatScriptsRelyOn) {
  const TemporaryFolder folder;
  write_summary(folder.path(), finished());
  const auto json = nlohmann::json::parse(read_file(folder.path() / "summary.json"));
  for (const char* key :
       {"status", "steps", "samples", "epochs", "train_seconds", "images_per_s", "loss", "accuracy", "best_accuracy",
        "weights_sha256", "world_size", "shards", "shard_threads", "backend", "precision", "peak_bytes", "error"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_EQ(json.at("accuracy"), 0.9356);
  EXPECT_TRUE(json.at("error").is_null());
  EXPECT_EQ(read_status(folder.path()), "done");
}

TEST(Summary, WhatWasNotMeasuredIsNull) {
  const auto json = nlohmann::json::parse(to_json({.status = "failed", .error = "bad \xff name"}));
  EXPECT_TRUE(json.at("accuracy").is_null());
  EXPECT_TRUE(json.at("loss").is_null());
  EXPECT_TRUE(json.at("weights_sha256").is_null());
  EXPECT_TRUE(json.at("error").is_string());
}

TEST(Summary, AFolderWithoutAReadableOneHasNoStatus) {
  const TemporaryFolder folder;
  EXPECT_EQ(read_status(folder.path()), "");
  testing::write_file(folder.path() / "summary.json", "{\"status\":");
  EXPECT_EQ(read_status(folder.path()), "");
}

TEST(Summary, IsWrittenWholeOrNotAtAll) {
  const TemporaryFolder folder;
  write_summary(folder.path(), finished());
  write_summary(folder.path(), finished());
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) files += entry.is_regular_file();
  EXPECT_EQ(files, 1) << "no temporary file is left";
  EXPECT_THROW(write_summary(folder.path() / "none", finished()), StorageError);
}

TEST(Summary, CountsWhatWasSkippedAndCallsBadNumbersSo) {
  Summary summary = finished();
  summary.steps = summary.epochs = 1;
  summary.skipped_steps = 1;
  summary.loss = -std::numeric_limits<double>::quiet_NaN();
  const std::string text = printed(summary);
  EXPECT_NE(text.find("Nothing was learned: 1 step, 1 epoch, "), std::string::npos) << text;
  EXPECT_NE(text.find("1 of 1 update"), std::string::npos) << text;
  EXPECT_NE(text.find("loss       not finite"), std::string::npos) << text;
}

TEST(Summary, TellsPeopleTheAccuracyTheTimeTheFilesAndWhatNext) {
  const std::string done = printed(finished());
  for (const char* part :
       {"93.56 %", "93.61 %", "1 min 2", "runs/a/metrics.jsonl", "7,200 images/s", "build/athanor train"}) {
    EXPECT_NE(done.find(part), std::string::npos) << part << " in " << done;
  }
  Summary stopped = finished();
  stopped.status = "interrupted";
  EXPECT_NE(printed(stopped).find("athanor train a.yaml --run runs/a\n"), std::string::npos);
  EXPECT_NE(printed(stopped).find("at step 4,680 of 9,000, not saved"), std::string::npos);
  EXPECT_NE(printed({.status = "failed", .error = "no space"}).find("no space"), std::string::npos);
}

}  // namespace
}  // namespace athanor
