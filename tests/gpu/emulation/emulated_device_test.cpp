// What tests over the emulation rely on: it runs everything that CUDA may run, in every order that CUDA allows, and
// refuses or finds what CUDA forbids.
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <thread>

#include "base/error.h"
#include "gpu/emulation/emulated_device.h"

namespace athanor::testing {
namespace {

using cuda::Stream;

float* floats(void* memory) {
  return static_cast<float*>(memory);
}

/// y = a + b over `count` floats.
void add(cuda::Device& device, const void* a, const void* b, void* y, std::int64_t count, Stream stream) {
  cuda::launch(device, kernels::cuda::Add{DType::f32, a, b, y, count}, stream);
}

TEST(EmulatedDevice, RunsCopiesAndKernelsInTheOrderOfAStream) {
  EmulatedDevice device;
  auto* host = floats(device.allocate_pinned(1000));
  void* memory = device.allocate(1000);
  for (int i = 0; i < 250; ++i) host[i] = static_cast<float>(i);
  device.copy(memory, host, 1000, Stream::compute);
  add(device, memory, memory, memory, 250, Stream::compute);
  device.copy(host, memory, 1000, Stream::compute);
  device.synchronize();
  for (int i = 0; i < 250; ++i) EXPECT_EQ(host[i], 2 * static_cast<float>(i));
  device.check();
  device.release(memory);
  device.release_pinned(host);
}

/// What a copy on one stream sees of another stream's work, with and without an event between them.
float seen_by_copy(std::uint64_t seed, bool has_event) {
  EmulatedDevice device({.seed = seed});
  auto* host = floats(device.allocate_pinned(8));
  auto* memory = device.allocate(4);
  host[0] = 5;
  host[1] = -1;
  const cuda::Event event = device.make_event(false);
  device.fill_zero(memory, 4, Stream::compute);
  device.synchronize();
  device.copy(memory, host, 4, Stream::copy);
  device.record(event, Stream::copy);
  if (has_event) device.wait(Stream::compute, event);
  device.copy(host + 1, memory, 4, Stream::compute);
  device.synchronize();
  return host[1];
}

TEST(EmulatedDevice, StreamsMeetOnlyThroughEvents) {
  std::set<float> without;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    EXPECT_EQ(seen_by_copy(seed, true), 5) << "seed " << seed;
    without.insert(seen_by_copy(seed, false));
  }
  EXPECT_EQ(without, (std::set<float>{0, 5}));
}

TEST(EmulatedDevice, AWaitRefersToTheLastRecordAtTheTimeOfTheCall) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    EmulatedDevice device({.seed = seed});
    auto* host = floats(device.allocate_pinned(8));
    host[0] = 1;
    const cuda::Event event = device.make_event(false);
    device.record(event, Stream::copy);
    device.wait(Stream::compute, event);
    device.fill_zero(host, 4, Stream::compute);
    device.record(event, Stream::compute);
    device.wait(Stream::copy, event);
    device.copy(host + 1, host, 4, Stream::copy);
    device.record(event, Stream::copy);
    device.synchronize(event);
    EXPECT_TRUE(device.is_done(event));
    EXPECT_EQ(host[1], 0);
  }
}

TEST(EmulatedDevice, ACopyReadsItsSourceWhenItRuns) {
  EmulatedDevice device;
  auto* host = floats(device.allocate_pinned(8));
  auto* memory = device.allocate(4);
  host[0] = 1;
  device.copy(memory, host, 4, Stream::copy);
  host[0] = 2;
  device.synchronize();
  device.copy(host + 1, memory, 4, Stream::copy);
  device.synchronize();
  EXPECT_EQ(host[1], 2);
}

TEST(EmulatedDevice, FindsWritesPastTheEndAndAfterRelease) {
  EmulatedDevice device;
  auto* memory = static_cast<std::byte*>(device.allocate(10));
  device.check();
  memory[10] = std::byte{0};
  EXPECT_THROW(device.check(), DeviceError);
  memory[10] = std::byte{0xff};
  device.release(memory);
  memory[3] = std::byte{0};
  EXPECT_THROW(device.check(), DeviceError);
}

TEST(EmulatedDevice, RefusesMemoryThatIsNotItsOwn) {
  EmulatedDevice device;
  float local = 0;
  void* memory = device.allocate(16);
  EXPECT_THROW(device.copy(memory, &local, 4, Stream::copy), DeviceError);
  EXPECT_THROW(device.copy(memory, memory, 20, Stream::copy), DeviceError);
  EXPECT_THROW(device.release_pinned(memory), DeviceError);
  device.release(memory);
  EXPECT_THROW(add(device, memory, memory, memory, 4, Stream::compute), DeviceError);
  EXPECT_THROW(device.allocate(std::size_t{2} << 30), DeviceError);
}

TEST(EmulatedDevice, NewMemoryIsNotANumber) {
  EmulatedDevice device;
  EXPECT_TRUE(std::isnan(*floats(device.allocate(4))));
}

TEST(EmulatedDevice, AGraphRunsWhatWasCapturedOnAllStreamsThatJoined) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    EmulatedDevice device({.seed = seed});
    auto* host = floats(device.allocate_pinned(64));
    auto* a = floats(device.allocate(64));
    auto* b = floats(device.allocate(64));
    const cuda::Event fork = device.make_event(false), join = device.make_event(false);
    host[0] = 1;
    device.copy(a, host, 4, Stream::compute);
    device.begin_capture(Stream::compute);
    device.record(fork, Stream::compute);
    device.wait(Stream::communication, fork);
    device.copy(b, a, 4, Stream::communication);
    device.record(join, Stream::communication);
    device.wait(Stream::compute, join);
    add(device, a, b, a, 1, Stream::compute);
    const cuda::GraphExec graph = device.end_capture(Stream::compute);
    for (int i = 0; i < 5; ++i) device.launch(graph, Stream::compute);
    device.copy(host, a, 4, Stream::compute);
    device.synchronize();
    EXPECT_EQ(host[0], 32);
    device.release(graph);
  }
}

TEST(EmulatedDevice, RefusesWhatBreaksACapture) {
  EmulatedDevice device;
  void* memory = device.allocate(4);
  const cuda::Event event = device.make_event(false), outside = device.make_event(false);
  device.record(outside, Stream::copy);
  device.begin_capture(Stream::compute);
  EXPECT_THROW(device.allocate(4), DeviceError);
  EXPECT_THROW(device.synchronize(), DeviceError);
  EXPECT_THROW(device.is_done(outside), DeviceError);
  EXPECT_THROW(device.wait(Stream::compute, outside), DeviceError);
  device.record(event, Stream::compute);
  device.wait(Stream::communication, event);
  device.fill_zero(memory, 4, Stream::communication);
  EXPECT_THROW(device.end_capture(Stream::compute), DeviceError) << "communication was not joined";
  device.fill_zero(memory, 4, Stream::compute);
  device.synchronize();
  EXPECT_THROW(device.synchronize(event), DeviceError) << "an event of the capture";
}

TEST(EmulatedDevice, AFailureIsThrownByLaterCalls) {
  EmulatedDevice device;
  constexpr std::size_t kLong = std::size_t{64} << 20;
  void* memory = device.allocate(kLong);
  auto* words = static_cast<std::byte*>(device.allocate_pinned(8));
  for (int i = 0; i < 10; ++i) device.fill_zero(memory, kLong, Stream::copy);
  device.copy(memory, words, 4, Stream::copy);
  // Nobody waits for the copy; releasing pinned memory does not either.
  device.release_pinned(words);
  EXPECT_THROW(device.synchronize(), DeviceError);
  EXPECT_THROW(device.fill_zero(memory, 4, Stream::copy), DeviceError);
}

/// Runs `act(device, group, rank)` on every rank of a group.
template <typename Act>
void on_ranks(int size, Act act, std::vector<GroupFaults> faults = {}) {
  faults.resize(static_cast<std::size_t>(size));
  const std::vector<std::byte> key = new_group_key();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      EmulatedDevice device(
          {.seed = static_cast<std::uint64_t>(rank), .group_faults = faults[static_cast<std::size_t>(rank)]});
      const auto group = device.make_group(key, rank, size, 30);
      act(device, *group, rank);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(EmulatedGroup, SumsAndExchanges) {
  const GroupFaults late{.delay_seed = 3};
  on_ranks(3,
           [](EmulatedDevice& device, cuda::DeviceGroup& group, int rank) {
             auto* memory = floats(device.allocate_communication(12));
             auto* host = floats(device.allocate_pinned(12));
             host[0] = static_cast<float>(rank + 1);
             device.copy(memory, host, 4, Stream::communication);
             for (int repeat = 0; repeat < 10; ++repeat) {
               group.begin();
               group.send(memory, 4, (rank + 1) % 3, Stream::communication);
               group.receive(memory + 1, 4, (rank + 2) % 3, Stream::communication);
               group.end();
               device.copy(memory + 2, memory, 4, Stream::communication);
               group.all_reduce(memory + 2, 1, DType::f32, Stream::communication);
             }
             device.copy(host, memory, 12, Stream::communication);
             device.synchronize();
             EXPECT_EQ(host[1], static_cast<float>((rank + 2) % 3 + 1));
             EXPECT_EQ(host[2], 6);
             EXPECT_EQ(group.poll(), "");
             device.check();
           },
           {late, {}, late});
}

TEST(EmulatedGroup, APlantedFailureIsSeenByAllAndAbortEndsIt) {
  on_ranks(2,
           [](EmulatedDevice& device, cuda::DeviceGroup& group, int) {
             auto* memory = floats(device.allocate_communication(4));
             device.fill_zero(memory, 4, Stream::communication);
             for (int i = 0; i < 3; ++i) group.all_reduce(memory, 1, DType::f32, Stream::communication);
             while (group.poll().empty()) std::this_thread::yield();
             EXPECT_EQ(group.poll(), "rank 1: planted failure in operation 2");
             group.abort();
             device.synchronize();
           },
           {{}, {.fail_at = 2}});
}

TEST(EmulatedGroup, ARankThatDoesNotComeIsAPeerError) {
  EmulatedDevice device;
  EXPECT_THROW(device.make_group(new_group_key(), 0, 2, 0.01), PeerError);
}

}  // namespace
}  // namespace athanor::testing
