// The counter sees what it should, and tells ours from a library's.
#include "allocation/counter.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <oneapi/dnnl/dnnl.hpp>

namespace athanor::testing {
namespace {

/// Called by name, and through a volatile pointer, so that the compiler may not leave a pair out.
TEST(AllocationCounter, SeesNewAndMallocOfOurs) {
  if (!can_count_allocations()) GTEST_SKIP() << "the sanitizer brings an allocator of its own";
  const AllocationCount by_new = allocations_during([] { ::operator delete(::operator new(1)); });
  EXPECT_EQ(by_new, (AllocationCount{1, 0}));
  const AllocationCount by_malloc = allocations_during([] {
    void* volatile memory = std::malloc(1);
    std::free(memory);
  });
  EXPECT_EQ(by_malloc, (AllocationCount{1, 0}));
}

TEST(AllocationCounter, SeesWhatALibraryTakes) {
  if (!can_count_allocations()) GTEST_SKIP() << "the sanitizer brings an allocator of its own";
  const AllocationCount count = allocations_during([] {
    dnnl_engine_t engine = nullptr;
    dnnl_engine_create(&engine, dnnl_cpu, 0);
    dnnl_engine_destroy(engine);
  });
  EXPECT_EQ(count.ours, 0);
  EXPECT_GT(count.libraries, 0);
}

TEST(AllocationCounter, CountsOnlyWhenAsked) {
  if (!can_count_allocations()) GTEST_SKIP() << "the sanitizer brings an allocator of its own";
  EXPECT_EQ(allocations_during([] {}), AllocationCount{});
}

}  // namespace
}  // namespace athanor::testing
