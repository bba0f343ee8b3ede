#include "launcher/supervisor/job_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "support/temporary_folder.h"

namespace athanor {
namespace {

FaultRecord fault_of(const char* kind, int attempt) {
  return {utc_now(), attempt, 12, kind, {"node1"}, "rank 1 on node1", 0};
}

/// "KIND EXIT_CODE" of each line, once there are `count`.
std::vector<std::string> wait_for_lines(const std::filesystem::path& run, std::size_t count) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  std::vector<std::string> lines;
  while (lines.size() < count && std::chrono::steady_clock::now() < end) {
    lines.clear();
    std::ifstream in(run / "faults.jsonl");
    for (std::string text; std::getline(in, text);) {
      const auto json = nlohmann::json::parse(text, nullptr, false);
      if (!json.is_object()) continue;  // half written
      lines.push_back(json.at("kind").get<std::string>() + ' ' + json.at("exit_code").dump());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return lines;
}

using ::testing::ElementsAre;

TEST(JobRecord, WritesWarningsWhenTheyHappenAndFaultsWhenTheAttemptHasEnded) {
  const testing::TemporaryFolder folder;
  JobStatus status;
  status.picture.about.run_folder = folder.path();
  JobRecord record(status);
  record.add_fault(fault_of("straggler", 1));
  EXPECT_THAT(wait_for_lines(folder.path(), 1), ElementsAre("straggler 0"));
  record.add_fault(fault_of("lost", 1));
  record.add_fault(fault_of("silent", 1));
  EXPECT_THAT(wait_for_lines(folder.path(), 2), ElementsAre("straggler 0", "silent 0"));
  record.settle_faults(1, 6);
  EXPECT_THAT(wait_for_lines(folder.path(), 3), ElementsAre("straggler 0", "silent 0", "lost 6"));
}

TEST(JobRecord, WritesFaultsOnceThereIsARunFolder) {
  const testing::TemporaryFolder folder;
  const std::filesystem::path run = folder / "run";
  JobStatus status;
  status.picture.about.run_folder = run;
  {
    JobRecord record(status);
    record.add_fault(fault_of("silent", 1));
    record.add_fault(fault_of("launcher", 1));
    record.settle_faults(1, 6);
    std::filesystem::create_directory(run);
  }
  EXPECT_THAT(wait_for_lines(run, 2), ElementsAre("silent 0", "launcher 6"));
}

}  // namespace
}  // namespace athanor
