// `athanor launch` where another process holds the run folder for a while, as a file server does for a host that died.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <memory>

#include "mpirun/job.h"
#include "train/file_lock.h"

namespace athanor::mpirun_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class HeldFolder : public ::testing::Test {
 protected:
  HeldFolder() {
    write_file(home_ / "r.yaml", tiny_recipe("{name: sgd, lr: 0.05}"));
    fs::create_directories(home_ / "x");
    lock_ = std::make_unique<FileLock>(home_ / "x/.lock");
  }
  static bool is_waiting(const Job& job) { return job.err().find("is in use by pid") != std::string::npos; }

  const Words words_{"launch", "-n", "2", "train", "r.yaml", "--run", "x"};
  testing::TemporaryFolder root_;
  fs::path home_ = root_ / "home";
  std::unique_ptr<FileLock> lock_;
};

TEST_F(HeldFolder, IsWaitedFor) {
  Job job(home_, 0, words_);
  ASSERT_TRUE(job.wait_until([&] { return is_waiting(job); })) << job.err();
  lock_.reset();
  const Outcome outcome = job.wait();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, Not(HasSubstr("starting again")));
}

TEST_F(HeldFolder, IsWaitedForNoLongerThanAskedFor) {
  Job job(home_, 0, words_);
  ASSERT_TRUE(job.wait_until([&] { return is_waiting(job); })) << job.err();
  kill(job.pid(), SIGUSR2);
  const Outcome outcome = job.wait();
  EXPECT_EQ(outcome.code, 75) << outcome.err;
}

}  // namespace
}  // namespace athanor::mpirun_test
