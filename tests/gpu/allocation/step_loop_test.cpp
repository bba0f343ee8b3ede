// Handing over a step allocates nothing: neither launch by launch nor as a graph. What the emulated device itself takes
// does not count; this program's operator new does the counting.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <new>

#include "gpu/support/emulated_training.h"
#include "gpu/support/forwarding_device.h"

namespace {

thread_local constinit bool is_counting = false;
thread_local constinit int calls_of_device = 0;
thread_local constinit long allocations = 0;

void* counted(std::size_t bytes, std::size_t alignment) {
  if (is_counting && calls_of_device == 0) ++allocations;
  void* memory = alignment <= alignof(std::max_align_t)
                     ? std::malloc(bytes)
                     : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) {
  return counted(bytes, 0);
}
void* operator new[](std::size_t bytes) {
  return counted(bytes, 0);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace athanor::testing {
namespace {

class UncountedDevice : public ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;

 protected:
  void enter() const override { ++calls_of_device; }
  void leave() const override { --calls_of_device; }
};

/// Allocations of each step from the fourth on, of all ranks: by then graphs are captured.
std::map<int, long> allocations_by_step(EmulatedRun run) {
  std::mutex mutex;
  std::map<int, long> counts;
  run.wrap = [](cuda::Device& device) { return std::make_unique<UncountedDevice>(device); };
  run.around_step = [&](int step, const std::function<void()>& submit) {
    allocations = 0;
    is_counting = true;
    submit();
    is_counting = false;
    const std::lock_guard lock(mutex);
    if (step > 3) counts[step] += allocations;
  };
  train_emulated(run);
  return counts;
}

void expect_none(const EmulatedRun& run) {
  const std::map<int, long> counts = allocations_by_step(run);
  EXPECT_EQ(counts.size(), 5u);
  for (const auto& [step, count] : counts) EXPECT_EQ(count, 0) << "step " << step;
}

TEST(CudaStepLoop, TheCounterCountsWhatTheLibraryTakes) {
  allocations = 0;
  is_counting = true;
  make_optimizer("sgd", {{"lr", 0.01}});
  is_counting = false;
  EXPECT_GT(allocations, 0);
}

TEST(CudaStepLoop, AllocatesNothingLaunchByLaunch) {
  expect_none({.steps = 8, .depth = 8, .side = 8, .cuda_graph = false});
}

TEST(CudaStepLoop, AllocatesNothingAsAGraph) {
  expect_none({.steps = 8, .depth = 8, .side = 8});
}

TEST(CudaStepLoop, AllocatesNothingAsAGraphOnTwoRanks) {
  expect_none({.ranks = 2, .steps = 8, .depth = 8, .side = 8});
}

}  // namespace
}  // namespace athanor::testing
