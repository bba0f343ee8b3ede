// The step loop allocates nothing: every call of operator new in this program is counted. oneDNN's own calls are told
// apart by the library that holds the return address; what it takes by malloc is the library's by definition, since
// Athanor is C++ and calls none.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <oneapi/dnnl/dnnl.hpp>

#include "graph/layer.h"
#include "support/training_rig.h"

namespace {

std::atomic<long> our_allocations{0}, library_allocations{0};
std::atomic<const void*> onednn{nullptr};

/// Where the object file that holds an address begins.
const void* object_of(const void* address) {
  Dl_info info;
  return dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}

void* counted(std::size_t bytes, std::size_t alignment, const void* caller) {
  const void* library = onednn.load();
  (library != nullptr && object_of(caller) == library ? library_allocations : our_allocations).fetch_add(1);
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = alignment > 16 ? std::aligned_alloc(alignment, rounded) : std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) {
  return counted(bytes, 1, __builtin_return_address(0));
}
void* operator new[](std::size_t bytes) {
  return counted(bytes, 1, __builtin_return_address(0));
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment), __builtin_return_address(0));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment), __builtin_return_address(0));
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
void operator delete[](void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace athanor::testing {
namespace {

struct AllocationCount {
  long ours = 0;
  long libraries = 0;
};

/// Since the program started, over all threads.
AllocationCount allocation_count() {
  return {our_allocations.load(), library_allocations.load()};
}

/// Per step, after two that warm the libraries' caches up. The loading of the batch belongs to the loader.
std::vector<AllocationCount> allocations_by_step(TrainingRig& rig, int steps) {
  onednn = object_of(reinterpret_cast<const void*>(&dnnl_primitive_execute));
  rig.load(1);
  for (int step = 1; step <= 2; ++step) rig.step(step);
  std::vector<AllocationCount> counts(static_cast<std::size_t>(steps));
  for (int step = 0; step < steps; ++step) {
    const AllocationCount before = allocation_count();
    rig.step(3 + step);
    const AllocationCount after = allocation_count();
    counts[static_cast<std::size_t>(step)] = {after.ours - before.ours, after.libraries - before.libraries};
  }
  return counts;
}

void expect_none_of_ours(const ModelSpec& model) {
  TrainingRig rig({.model = model,
                   .optimizer = make_optimizer("sgd", {{"lr", 0.01}, {"momentum", 0.9}}),
                   .batch = 8,
                   .shards = 4,
                   .lanes = 2});
  const std::vector<AllocationCount> counts = allocations_by_step(rig, 4);
  for (const AllocationCount& count : counts) {
    EXPECT_EQ(count.ours, 0);
    EXPECT_EQ(count.libraries, counts.front().libraries) << "oneDNN's allocations differ from step to step";
  }
}

TEST(StepLoop, AllocatesNothingWithoutOneDnn) {
  ModelSpec model;
  model.build = [](Builder& builder, ValueId x) {
    const ValueId wide = builder.add1("shortcut_a", {x}, {{"stride", std::int64_t{2}}, {"channels", std::int64_t{10}}});
    ValueId y = build_layer(builder, wide, "batch_norm", {}, "bn");
    y = build_layer(builder, y, "relu", {}, "relu");
    y = build_layer(builder, y, "dropout", {{"rate", 0.25}}, "dropout");
    return build_layer(builder, y, "global_avg_pool", {}, "pool");
  };
  expect_none_of_ours(model);
}

TEST(StepLoop, AllocatesNothingOfOursWithOneDnn) {
  ModelSpec model;
  model.name = "se_cifar_resnet";
  model.attributes = {{"depth", std::int64_t{8}}};
  expect_none_of_ours(model);
}

TEST(StepLoop, CounterSeesAnAllocation) {
  const AllocationCount before = allocation_count();
  delete new std::vector<int>(3);
  EXPECT_GT(allocation_count().ours, before.ours);
}

}  // namespace
}  // namespace athanor::testing
