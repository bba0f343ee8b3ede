// GPUs that do not reach each other are found before the first step, in bounded time.
#include "backend/cuda/start_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "gpu/emulation/emulated_device.h"
#include "gpu/support/thread_ranks.h"

namespace athanor::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::unique_ptr<cuda::DeviceGroup> group_of(cuda::Device& device, Communicator& communicator) {
  std::vector<std::byte> key = device.make_group_key();
  communicator.broadcast(key.data(), key.size(), 0, "key");
  return device.make_group(key, communicator.rank(), communicator.size(), 10);
}

TEST(StartCheck, PassesWhereGpusReachEachOther) {
  for (const int ranks : {2, 3, 5}) {
    run_ranks(ranks, [](Communicator& communicator) {
      EmulatedDevice device({.ordinal = communicator.rank()});
      const auto group = group_of(device, communicator);
      cuda::check_group(device, *group, communicator);
      device.check();
    });
  }
}

void expect_peer_error(const GroupFaults& faults, const char* what) {
  std::atomic<int> found = 0;
  run_ranks(
      2,
      [&](Communicator& communicator) {
        EmulatedDevice device(
            {.ordinal = communicator.rank(), .group_faults = communicator.rank() == 1 ? faults : GroupFaults{}});
        const auto group = group_of(device, communicator);
        try {
          cuda::check_group(device, *group, communicator);
        } catch (const PeerError& error) {
          EXPECT_THAT(error.what(), AllOf(HasSubstr(communicator.name_of(communicator.rank())), HasSubstr("2 GPUs"),
                                          HasSubstr(what)));
          ++found;
        }
        communicator.barrier("end");
      },
      1);
  EXPECT_EQ(found, 2);
}

TEST(StartCheck, NamesWhatDoesNotEnd) {
  expect_peer_error({.hang_at = 0}, "did not end within 1");
  expect_peer_error({.hang_at = 1}, "did not end within 1");
}

TEST(StartCheck, PassesOnWhatTheLibrarySays) {
  expect_peer_error({.fail_at = 1}, "failed: ");
}

}  // namespace
}  // namespace athanor::testing
