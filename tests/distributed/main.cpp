// Runs the tests on every rank, with a watchdog: a test that hangs ends all ranks and names itself and the rank.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <memory>

#include "distributed/world.h"

namespace athanor::distributed_test {
namespace {

constexpr unsigned kMostSeconds = 60;

std::unique_ptr<Communicator>& holder() {
  static std::unique_ptr<Communicator> communicator;
  return communicator;
}

char last_words[512];

void give_up(int) {
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, last_words, std::strlen(last_words));
  _exit(1);
}

/// Only rank 0 says what goes well; every rank says what goes wrong.
class Watchdog final : public ::testing::EmptyTestEventListener {
  void OnTestStart(const ::testing::TestInfo& info) override {
    std::snprintf(last_words, sizeof last_words, "watchdog: %s.%s hangs on rank %d of %d after %u s\n",
                  info.test_suite_name(), info.name(), world().rank(), world().size(), kMostSeconds);
    alarm(kMostSeconds);
  }
  void OnTestEnd(const ::testing::TestInfo&) override { alarm(0); }
  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (!result.failed() || world().rank() == 0) return;
    std::fprintf(stderr, "rank %d: %s:%d: %s\n", world().rank(), result.file_name(), result.line_number(),
                 result.message());
  }
};

}  // namespace

Communicator& world() {
  return *holder();
}

}  // namespace athanor::distributed_test

int main(int argc, char** argv) {
  using namespace athanor;
  using namespace athanor::distributed_test;
  ::testing::InitGoogleTest(&argc, argv);
  signal(SIGALRM, give_up);
  holder() = make_communicator();
  world().set_timeout(kMostSeconds);
  auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
  if (world().rank() > 0) delete listeners.Release(listeners.default_result_printer());
  listeners.Append(new Watchdog);
  int failed = RUN_ALL_TESTS();
  failed = world().agree(failed, "end of the tests");
  holder().reset();
  return failed;
}
