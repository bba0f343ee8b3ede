#include "launcher/supervisor/metrics_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <limits>

#include "launcher/sample_status.h"
#include "support/temporary_folder.h"

namespace athanor {
namespace {

using launcher_test::sample_status;
using ::testing::HasSubstr;
using ::testing::Not;

std::string text_of(const JobStatus& status) {
  CounterMemory memory;
  return metrics_text(status, memory);
}

/// Exit code of `promtool check metrics`.
int promtool_says(const std::string& text) {
  const testing::TemporaryFolder folder;
  std::ofstream(folder / "metrics") << text;
  const std::string out = (folder / "out").string();
  const int status =
      std::system(("promtool check metrics < " + (folder / "metrics").string() + " > " + out + " 2>&1").c_str());
  std::ifstream printed(out);
  const std::string said{std::istreambuf_iterator<char>(printed), {}};
  EXPECT_EQ(said, "");
  return WEXITSTATUS(status);
}

bool has_promtool() {
  return WEXITSTATUS(std::system("command -v promtool > /dev/null 2>&1")) == 0;
}

TEST(Metrics, PromtoolHasNothingToSay) {
  if (!has_promtool()) GTEST_SKIP() << "promtool is not installed (package prometheus)";
  EXPECT_EQ(promtool_says(text_of(sample_status())), 0);
  EXPECT_EQ(promtool_says(text_of(JobStatus{})), 0);
  JobStatus ended = sample_status();
  ended.state = "ended";
  ended.exit_code = 6;
  ended.picture.news.loss = std::numeric_limits<double>::infinity();
  CounterMemory memory;
  EXPECT_EQ(promtool_says(metrics_text(ended, memory, 1.8e9)), 0);
}

TEST(Metrics, HaveTheNumbersOfTheStatus) {
  const std::string text = text_of(sample_status());
  for (const char* line :
       {"athanor_step 1234\n", "athanor_samples_total 157952\n", "athanor_loss 0.4375\n",
        "athanor_step_seconds 0.0101\n", "athanor_images_per_second 12650\n", "athanor_restarts_total 2\n",
        "athanor_faults_total{kind=\"lost\"} 1\n", "athanor_faults_total{kind=\"stalled\"} 0\n",
        "athanor_rank_up{rank=\"0\",host=\"node1\"} 1\n", "athanor_rank_up{rank=\"3\",host=\"node2\"} 0\n",
        "athanor_rank_beat_age_seconds{rank=\"3\",host=\"node2\"} 4\n", "athanor_checkpoint_step 936\n",
        "athanor_checkpoint_every_steps 468\n", "athanor_dropped_callers_total{reason=\"oversized\"} 3\n",
        "athanor_job_state{state=\"running\"} 1\n", "athanor_job_state{state=\"ended\"} 0\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, Not(HasSubstr("checkpoint_timestamp")));
}

TEST(Metrics, SamplesDoNotFallWhileARestartDoesStepsAgain) {
  CounterMemory memory;
  JobStatus status = sample_status();
  metrics_text(status, memory);
  status.picture.news.samples = 100;
  EXPECT_THAT(metrics_text(status, memory), HasSubstr("athanor_samples_total 157952\n"));
  status.picture.news.samples = 200'000;
  EXPECT_THAT(metrics_text(status, memory), HasSubstr("athanor_samples_total 200000\n"));
}

TEST(Metrics, LabelsAreEscaped) {
  JobStatus status = sample_status();
  status.picture.about.name = "a \"quoted\"\\name\nof two lines";
  EXPECT_THAT(text_of(status), HasSubstr(R"(name="a \"quoted\"\\name\nof two lines")"));
  if (has_promtool()) {
    EXPECT_EQ(promtool_says(text_of(status)), 0);
  }
}

TEST(Metrics, WhatIsNotKnownIsAbsent) {
  const std::string text = text_of(JobStatus{});
  for (const char* name : {"athanor_loss", "athanor_accuracy", "athanor_exit_code", "athanor_last_restart_seconds"}) {
    EXPECT_THAT(text, Not(HasSubstr(name)));
  }
}

}  // namespace
}  // namespace athanor
