// The stack of a thread that is stuck names where.
#include "watch/stack.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <future>
#include <thread>

#include "support/temporary_folder.h"
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
using ::testing::Not;

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

TEST_F(Stacks, AThreadThatAnswersTooLateSpoilsNoLaterAnswer) {
  const StuckThread stuck(true);
  std::atomic<bool> ends{false};
  std::thread busy([&] {
    while (!ends) continue;
  });
  for (int i = 0; i < 2000; ++i) stacks_of_other_threads(8, 0);
  const std::string text = stacks_of_other_threads(8, 5);
  ends = true;
  busy.join();
  EXPECT_THAT(text, HasSubstr("stuck_for_the_stack_test+0x"));
  EXPECT_THAT(text, Not(HasSubstr("not asked")));
}

TEST_F(Stacks, AreThereWhileAThreadIsStuckInTheDynamicLinker) {
  const ::athanor::testing::TemporaryFolder folder;
  // A library that is a pipe: the linker waits for what is in it, as on a dead network disk.
  const std::string library = folder / "library.so";
  ASSERT_EQ(::mkfifo(library.c_str(), 0600), 0);
  std::promise<int> writer;
  std::promise<void> done;
  // Lets the linker go, also where the stacks wait for it. Made before: no thread can be made meanwhile.
  std::thread rescue([&, pipe = writer.get_future(), is_done = done.get_future()]() mutable {
    const int end = pipe.get();
    is_done.wait_for(std::chrono::seconds(5));
    ::close(end);
  });
  std::thread stuck([&] { EXPECT_EQ(::dlopen(library.c_str(), RTLD_NOW), nullptr); });
  int end = -1;
  EXPECT_TRUE(testing::comes_true([&] {
    end = ::open(library.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    return end >= 0;
  }));
  writer.set_value(end);
  const auto start = std::chrono::steady_clock::now();
  const std::string text = stacks_of_other_threads(8, 0.1);
  const auto took = std::chrono::steady_clock::now() - start;
  done.set_value();
  stuck.join();
  rescue.join();
  EXPECT_LT(took, std::chrono::seconds(4));
  EXPECT_THAT(text, HasSubstr("(no names: is a thread stuck in dlopen?)"));
  EXPECT_THAT(text, HasSubstr("libc.so.6+0x")) << "places in files are known";
}

TEST_F(Stacks, OfGeneratedCodeSayThatItIsThat) {
#ifndef __x86_64__
  GTEST_SKIP() << "needs the processor that the code is for";
#endif
  void* const page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  auto* const code = static_cast<unsigned char*>(page);
  // while (*flag == 0) {}: cmp dword [rdi], 0; je -5; ret
  const unsigned char loop[] = {0x83, 0x3f, 0x00, 0x74, 0xfb, 0xc3};
  std::memcpy(code, loop, sizeof loop);
  ASSERT_EQ(::mprotect(page, 4096, PROT_READ | PROT_EXEC), 0);
  std::atomic<int> flag{0}, started{0};
  std::thread computes([&] {
    started = 1;
    reinterpret_cast<void (*)(std::atomic<int>*)>(page)(&flag);
  });
  testing::comes_true([&] { return started == 1; });
  EXPECT_TRUE(testing::comes_true([] {
    return stacks_of_other_threads(8, 5).find("(generated code, whose callers are unknown)") != std::string::npos;
  }));
  flag = 1;
  computes.join();
  ::munmap(page, 4096);
}

TEST_F(Stacks, AreOfSoManyThreadsOnly) {
  const StuckThread one(true), two(true), three(true);
  const std::string text = stacks_of_other_threads(1, 5);
  EXPECT_THAT(text, HasSubstr("and 2 more threads"));
}

}  // namespace
}  // namespace athanor::watch
