// A real job under `athanor launch`, seen from outside: what its status server and status.json say while it runs, loses
// a rank, goes on and is stopped.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <charconv>
#include <chrono>
#include <thread>

#include "launcher/http_caller.h"
#include "mpirun/job.h"

namespace athanor::mpirun_test {
namespace {

using launcher_test::get;
using nlohmann::json;
using ::testing::HasSubstr;

/// The port in "status at http://127.0.0.1:PORT/"; 0: not said yet.
std::uint16_t port_in(const std::string& text) {
  const std::string before = "http://127.0.0.1:";
  const std::size_t at = text.find(before);
  std::uint16_t port = 0;
  if (at != std::string::npos) std::from_chars(text.data() + at + before.size(), text.data() + text.size(), port);
  return port;
}

class JobStatusOfARealJob : public ::testing::Test {
 protected:
  JobStatusOfARealJob() {
    write_file(root_ / "home" / "r.yaml",
               tiny_recipe("{name: sgd, lr: 0.05}", "checkpoint: {every_epochs: 0, every_steps: 50, best: false}\n"));
  }

  bool wait_until(const std::function<bool(const json&)>& holds) {
    const bool is_said = job_.wait_until([&] { return port_in(job_.err()) != 0; });
    return is_said && job_.wait_until([&] {
      // The server answers 20 requests a second.
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      seen_ = json::parse(get(port_in(job_.err()), "/status").body, nullptr, false);
      return seen_.is_object() && holds(seen_);
    });
  }

  testing::TemporaryFolder root_;
  fs::path home_ = root_ / "home";
  Job job_{home_, 0, {"launch", "--status", "0", "-n", "2", "train", "r.yaml", "train.epochs=1000000", "--run", "x"}};
  json seen_;
};

TEST_F(JobStatusOfARealJob, FollowsAFaultARestartAndAStop) {
  const auto has_saved = [](const json& now) { return !now["checkpoint"]["step"].is_null(); };
  ASSERT_TRUE(wait_until(has_saved)) << job_.err() << seen_.dump(1);
  EXPECT_EQ(seen_["job"]["state"], "running");
  EXPECT_EQ(seen_["run"]["batch"], 24);
  ASSERT_EQ(seen_["ranks"].size(), 2u);
  EXPECT_EQ(seen_["ranks"][1]["presence"], "connected");
  const std::uint16_t port = port_in(job_.err());
  EXPECT_THAT(get(port, "/metrics").body, HasSubstr("\nathanor_checkpoint_timestamp_seconds 1"));
  EXPECT_THAT(get(port, "/curve").body, HasSubstr(R"({"train":{"step":[)"));
  EXPECT_EQ(get(port, "/healthz").code, 200);

  const std::int64_t saved = seen_["checkpoint"]["step"].get<std::int64_t>();
  kill(seen_["ranks"][1]["pid"].get<pid_t>(), SIGKILL);
  const auto goes_on = [](const json& now) {
    return now["job"]["restarts"] == 1 && now["job"]["state"] == "running" && !now["job"]["last_restart_s"].is_null();
  };
  ASSERT_TRUE(wait_until(goes_on)) << job_.err() << seen_.dump(1);
  // What the attempt before said of the run is still there, before this one has saved.
  ASSERT_FALSE(seen_["checkpoint"]["step"].is_null());
  EXPECT_GE(seen_["checkpoint"]["step"].get<std::int64_t>(), saved);
  EXPECT_GT(seen_["checkpoint"]["stall_s"], 0.0);
  ASSERT_FALSE(seen_["faults"].empty());
  EXPECT_EQ(seen_["faults"][0]["kind"], "lost");
  EXPECT_THAT(seen_["faults"][0]["text"].get<std::string>(), HasSubstr("rank 1 on "));
  EXPECT_NE(seen_["faults"][0]["exit_code"], 0);

  kill(job_.pid(), SIGTERM);
  EXPECT_EQ(job_.wait().code, 75) << job_.err();
  const json last = json::parse(read_file(home_ / "x" / "status.json"));
  EXPECT_EQ(last["job"]["state"], "ended");
  EXPECT_EQ(last["job"]["exit_code"], 75);
  EXPECT_EQ(last["supervisor"]["pid"], job_.pid());
  // The save on leaving is the newest there is.
  EXPECT_EQ(last["checkpoint"]["step"], last["progress"]["step"]);
  const Outcome said = run(home_, 0, {"status", "x"});
  EXPECT_THAT(said.out, HasSubstr("stopped on request (75)"));
}

}  // namespace
}  // namespace athanor::mpirun_test
