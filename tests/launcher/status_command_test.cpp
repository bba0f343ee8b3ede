#include <sys/wait.h>

#include <chrono>
#include <thread>

#include "base/host_name.h"
#include "launcher/program.h"
#include "launcher/sample_status.h"
#include "launcher/supervisor/status_file.h"
#include "launcher/supervisor/status_json.h"

namespace athanor {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace launcher_test;

/// status.json as somebody else's, written `age_s` ago.
void write_status_of(const fs::path& run, const JobStatus& status, std::int64_t pid, const std::string& host,
                     double age_s) {
  fs::create_directories(run);
  ASSERT_TRUE(write_status_file(run, status));
  auto json = nlohmann::ordered_json::parse(read_file(run / "status.json"));
  json["supervisor"] = {{"host", host}, {"pid", pid}};
  json["written_unix_s"] = json["written_unix_s"].get<double>() - age_s;
  write_text(run / "status.json", json.dump());
}

/// Of a process that was, and is no more.
std::int64_t dead_pid() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return child;
}

TEST(StatusCommand, PrintsWhatTheSupervisorWrote) {
  const Folders folders;
  write_status_of(folders.home() / "run", sample_status(), 71, "head", 2);
  const Outcome outcome = run_program(folders, {"status", "run"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  for (const char* text :
       {"fashion-resnet20: running, mpirun on node1, node2, without node3", "attempt 3, 2 restarts of 20",
        "step 1,234 of 4,680 (26.4 %), epoch 3, loss 0.4375, accuracy 87.50 %, 12,650 images/s, about 35 s left",
        "checkpoint of step 936, every 468 steps", "1 save failed", "checkpoint.every_steps=240",
        "rank 3 on node3 is silent for 10 s", "in gradients 7,408", "silent", "by pid 71 on head"}) {
    EXPECT_THAT(outcome.out, HasSubstr(text));
  }
}

TEST(StatusCommand, JsonIsTheSameDocumentAsTheServers) {
  const Folders folders;
  write_status_of(folders.home() / "run", sample_status(), 71, "head", 2);
  const nlohmann::json json = run_program(folders, {"status", "run", "--json"}).json();
  const nlohmann::json expected = nlohmann::json::parse(to_json(sample_status()).dump());
  for (const auto& [key, value] : expected.items()) EXPECT_EQ(json.at(key), value) << key;
  EXPECT_EQ(json.at("supervised"), true);
  EXPECT_TRUE(json.at("alive").is_null());  // only its host could tell
  EXPECT_NEAR(json.at("age_s").get<double>(), 2, 60);
}

TEST(StatusCommand, SaysWhenNoSupervisorIsLeft) {
  const Folders folders;
  write_status_of(folders.home() / "run", sample_status(), dead_pid(), host_name(), 720);
  const Outcome outcome = run_program(folders, {"status", "run"});
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("no supervisor has written here for 12 min"), HasSubstr("is gone")));
  write_status_of(folders.home() / "run", sample_status(), 71, "elsewhere", 720);
  EXPECT_THAT(run_program(folders, {"status", "run"}).out, AllOf(HasSubstr("no supervisor has written here for 12 min"),
                                                                 HasSubstr("does pid 71 on elsewhere live?")));
}

/// A job whose supervisor was killed, in `run`.
void write_orphan(const fs::path& run, double age_s) {
  write_status_of(run, sample_status(), dead_pid(), host_name(), age_s);
  write_text(run / ".lock", "pid " + std::to_string(dead_pid()) + " on " + host_name() + "\n");
  write_text(run / "recipe.yaml", kTiny);
}

TEST(StatusCommand, SaysHowTheRanksEndedThatOutlivedTheirSupervisor) {
  const Folders folders;
  const fs::path run = folders.home() / "run";
  write_orphan(run, 5);
  write_text(run / "metrics.jsonl", R"({"kind":"train","step":1300,"epoch":3,"loss":0.25})"
                                    "\n");
  write_text(run / "summary.json", R"({"status":"preempted","steps":1300})");
  EXPECT_THAT(run_program(folders, {"status", "run"}).out,
              AllOf(HasSubstr("fashion-resnet20: stopped on request (75): start it again, mpirun on node1, node2"),
                    HasSubstr("step 1,300 of 4,680"), Not(HasSubstr(" left\n")),
                    HasSubstr("is gone; start the job again and it goes on"), HasSubstr("as it saw them last")));
  const nlohmann::json json = run_program(folders, {"status", "run", "--json"}).json();
  EXPECT_EQ(json.at("job").at("state"), "ended");
  EXPECT_EQ(json.at("job").at("exit_code"), 75);
  EXPECT_EQ(json.at("progress").at("step"), 1300);
  EXPECT_EQ(json.at("alive"), false);
}

TEST(StatusCommand, AJobWithoutSupervisorAndRanksDoesNotRun) {
  const Folders folders;
  const fs::path run = folders.home() / "run";
  write_orphan(run, 5);
  // Of the attempt before: it says nothing of this one.
  write_text(run / "summary.json", R"({"status":"preempted","steps":1200})");
  fs::last_write_time(run / "summary.json", fs::last_write_time(run / "status.json") - std::chrono::seconds(20));
  EXPECT_THAT(run_program(folders, {"status", "run"}).out,
              AllOf(HasSubstr("fashion-resnet20: ended, mpirun"), HasSubstr("step 1,234 of 4,680")));
  write_text(run / ".lock", "pid 71 on elsewhere\n");
  EXPECT_THAT(run_program(folders, {"status", "run"}).out, HasSubstr("fashion-resnet20: unknown, mpirun"));
  write_orphan(run, 45);
  write_text(run / ".lock", "pid 71 on elsewhere\n");
  EXPECT_THAT(run_program(folders, {"status", "run"}).out, HasSubstr("fashion-resnet20: ended, mpirun"));
}

TEST(StatusCommand, ASupervisorElsewhereIsBelievedUntilItIsOverdue) {
  const Folders folders;
  const fs::path run = folders.home() / "run";
  write_status_of(run, sample_status(), 71, "elsewhere", 2);
  write_text(run / "summary.json", R"({"status":"done","steps":4680})");
  EXPECT_THAT(run_program(folders, {"status", "run"}).out, HasSubstr("fashion-resnet20: running"));
  write_status_of(run, sample_status(), 71, "elsewhere", 45);
  write_text(run / "summary.json", R"({"status":"done","steps":4680})");
  EXPECT_THAT(run_program(folders, {"status", "run"}).out,
              AllOf(HasSubstr("fashion-resnet20: done"), HasSubstr("no supervisor has written here for 45 s"),
                    Not(HasSubstr("start the job again"))));
}

TEST(StatusCommand, WatchesUntilTheJobHasEnded) {
  const Folders folders;
  write_status_of(folders.home() / "run", sample_status(), 71, "head", 2);
  const pid_t child = start_program(folders, {"status", "run", "--watch"}, "/no-such-folder");
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (read_file(folders.out()).find("running") == std::string::npos && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  JobStatus ended = sample_status();
  ended.state = "ended";
  ended.exit_code = 75;
  ASSERT_TRUE(write_status_file(folders.home() / "run", ended));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  const Outcome outcome = outcome_of(folders, status);
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("fashion-resnet20: running"), HasSubstr("stopped on request (75)")));
}

TEST(StatusCommand, OfARunWithoutASupervisorReadsWhatTheRunLeft) {
  const Folders folders;
  write_text(folders.home() / "tiny.yaml", kTiny);
  ASSERT_EQ(run_program(folders, {"train", "tiny.yaml", "--run", "run"}).code, 0);
  const std::vector<std::string> files = files_below(folders.home());
  const Outcome outcome = run_program(folders, {"status", "run"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("run: done\nstep 40 of 40 (100.0 %), epoch 2, loss "),
                                 HasSubstr("checkpoint of step 40"), HasSubstr("without a supervisor")));
  EXPECT_EQ(files_below(folders.home()), files);
  const nlohmann::json json = run_program(folders, {"status", "run", "--json"}).json();
  EXPECT_EQ(json.at("job").at("exit_code"), 0);
  EXPECT_EQ(json.at("progress").at("samples"), 1280);
  EXPECT_EQ(json.at("alive"), false);
}

TEST(StatusCommand, OfARunThatWasKilledSaysSo) {
  const Folders folders;
  const fs::path run = folders.home() / "run";
  write_text(run / "recipe.yaml", kTiny);
  write_text(run / ".lock", "pid " + std::to_string(dead_pid()) + " on " + host_name() + "\n");
  write_text(run / "metrics.jsonl", R"({"kind":"train","step":7,"epoch":1,"loss":1.25,"images_per_s":90,"step_ms":20})"
                                    "\n{\"kind\":\"eval\",\"step\":7,\"accu");
  const Outcome outcome = run_program(folders, {"status", "run"});
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("run: ended\nstep 7, epoch 1, loss 1.2500, 90 images/s\nno checkpoint yet"),
                                 HasSubstr("is gone: start the run again and it goes on")));
}

TEST(StatusCommand, SpeedIsThatOfTheLastSecondsAndNotOfOneStep) {
  const Folders folders;
  const fs::path run = folders.home() / "run";
  write_text(run / "recipe.yaml", kTiny);
  std::string metrics;
  for (int step = 1; step <= 100; ++step) {
    metrics +=
        fmt::format(R"({{"kind":"train","step":{},"epoch":1,"loss":1.25,"images_per_s":6400,"step_ms":10}})", step);
    metrics += '\n';
  }
  metrics += R"({"kind":"train","step":101,"epoch":1,"loss":1.25,"images_per_s":64,"step_ms":1000})";
  write_text(run / "metrics.jsonl", metrics);
  EXPECT_THAT(run_program(folders, {"status", "run"}).out, HasSubstr("step 101, epoch 1, loss 1.2500, 3,232 images/s"));
}

TEST(StatusCommand, BelievesTheNewerRunWhereTheSupervisorIsGone) {
  const Folders folders;
  const fs::path run = folders.home() / "run";
  write_status_of(run, sample_status(), dead_pid(), host_name(), 7200);
  write_text(run / "recipe.yaml", kTiny);
  write_text(run / "metrics.jsonl", R"({"kind":"train","step":3000,"epoch":7,"loss":0.25})"
                                    "\n");
  EXPECT_THAT(run_program(folders, {"status", "run"}).out, HasSubstr("step 3,000, epoch 7"));
}

TEST(StatusCommand, RefusesWhatIsNoRun) {
  const Folders folders;
  const Outcome nothing = run_program(folders, {"status", "run"});
  EXPECT_EQ(nothing.code, 2);
  EXPECT_THAT(nothing.err, HasSubstr("run holds no run: there is neither status.json nor recipe.yaml"));
  write_text(folders.home() / "run" / "status.json", "{\"job\": 7");
  const Outcome torn = run_program(folders, {"status", "run", "--json"});
  EXPECT_EQ(torn.code, 3);
  EXPECT_EQ(torn.json().at("status"), "failed");
}

TEST(StatusCommand, WhatOthersWroteDoesNotSteerTheTerminal) {
  const Folders folders;
  JobStatus status = sample_status();
  status.picture.about.name = "a\x1b[2Jb";
  status.picture.ranks[0].last_words = "line\nother\x07";
  status.faults[0].text = "\x1b]0;title\x07";
  write_status_of(folders.home() / "run", status, 71, "he\x1b[31mad", 2);
  const std::string out = run_program(folders, {"status", "run"}).out;
  EXPECT_THAT(out, AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr("\x07")), HasSubstr("line other")));
}

TEST(GoodputCommand, PrintsTheShareAndTheBestInterval) {
  const Folders folders;
  const Outcome outcome =
      run_program(folders, {"bench", "goodput", "--detect", "2", "--restart", "4", "--stall", "0.02", "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json json = outcome.json();
  EXPECT_NEAR(json.at("goodput").get<double>(), json.at("expected_goodput").get<double>(), 0.01);
  EXPECT_NEAR(json.at("best_interval_s").get<double>(), std::sqrt(2 * 0.02 * 600), 0.1);
  EXPECT_EQ(json.at("interval_s"), json.at("best_interval_s"));
  EXPECT_EQ(run_program(folders, {"bench", "goodput", "--interval", "5", "--write", "6"}).code, 2);
}

}  // namespace
}  // namespace athanor
