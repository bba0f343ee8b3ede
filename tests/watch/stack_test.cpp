// The stack of a thread that is stuck names where.
#include "watch/stack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/watch/job.h"

// Has a name that the dynamic linker knows.
extern "C" __attribute__((noinline)) void stuck_for_the_stack_test(int event, std::atomic<int>* threads) {
  ++*threads;
  std::uint64_t count = 0;
  if (::read(event, &count, sizeof count) < 0) std::abort();
  --*threads;
}

namespace athanor::watch {
namespace {

using ::testing::HasSubstr;

/// A thread that is stuck until the end of the test.
class StuckThread {
 public:
  explicit StuckThread(bool hears_signals) {
    thread_ = std::thread([this, hears_signals] {
      sigset_t all;
      sigfillset(&all);
      if (!hears_signals) pthread_sigmask(SIG_SETMASK, &all, nullptr);
      pthread_setname_np(pthread_self(), "stuck-one");
      stuck_for_the_stack_test(event_, &stuck_);
    });
    testing::comes_true([this] { return stuck_ == 1; });
  }
  ~StuckThread() {
    const std::uint64_t one = 1;
    EXPECT_EQ(::write(event_, &one, sizeof one), static_cast<ssize_t>(sizeof one));
    thread_.join();
    ::close(event_);
  }

 private:
  int event_ = eventfd(0, 0);
  std::atomic<int> stuck_{0};
  std::thread thread_;
};

class Stacks : public ::testing::Test {
 protected:
  void SetUp() override {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "the thread sanitizer keeps signals from threads that wait in the kernel";
#endif
    prepare_stacks();
  }
};

TEST_F(Stacks, NameTheFunctionThatAThreadIsStuckIn) {
  const StuckThread stuck(true);
  const std::string text = stacks_of_other_threads(8, 5);
  EXPECT_THAT(text, HasSubstr("(stuck-one), state "));
  EXPECT_THAT(text, HasSubstr("stuck_for_the_stack_test+0x"));
}

TEST_F(Stacks, AThreadThatDoesNotAnswerIsToldWithWhatTheKernelKnows) {
  const StuckThread deaf(false);
  const auto start = std::chrono::steady_clock::now();
  const std::string text = stacks_of_other_threads(8, 0.05);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  EXPECT_THAT(text, HasSubstr("(stuck-one), state S"));
  EXPECT_THAT(text, HasSubstr("does not answer"));
  const StuckThread hears(true);
  EXPECT_THAT(stacks_of_other_threads(8, 1), HasSubstr("stuck_for_the_stack_test+0x"))
      << "the deaf one does not spoil the others' answers";
}

TEST_F(Stacks, AreOfSoManyThreadsOnly) {
  const StuckThread one(true), two(true), three(true);
  const std::string text = stacks_of_other_threads(1, 5);
  EXPECT_THAT(text, HasSubstr("and 2 more threads"));
}

}  // namespace
}  // namespace athanor::watch
