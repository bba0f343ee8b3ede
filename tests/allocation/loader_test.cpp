// The loader's word, kept: once every slot of the ring has been used, handing over a batch allocates nothing, and
// neither do the workers that fill the next ones.
#include "data/loader.h"

#include <gtest/gtest.h>

#include "allocation/counter.h"

namespace athanor {
namespace {

using testing::AllocationCount;

TEST(Loader, AllocatesNothingPerBatch) {
  if (!testing::can_count_allocations()) GTEST_SKIP() << "the sanitizer brings an allocator of its own";
  const auto dataset = open_dataset("glyphs", {{"train_size", std::int64_t{200}}}, Split::train);
  Loader loader(*dataset, {.batch = 16,
                           .augmentations = {.crop_padding = 2, .flip_probability = 0.5, .cutout_size = 8},
                           .subset = {},
                           .workers = 2});
  // Both workers are at work once every slot of the ring has been filled twice.
  for (int k = 0; k < 8; ++k) loader.next();
  const AllocationCount count = testing::allocations_during([&] {
    for (int k = 0; k < 60; ++k) loader.next();
  });
  EXPECT_EQ(count, AllocationCount{});
}

TEST(Loader, AllocatesNothingWhenAnEvaluationBeginsAgain) {
  if (!testing::can_count_allocations()) GTEST_SKIP() << "the sanitizer brings an allocator of its own";
  const auto dataset = open_dataset("glyphs", {{"test_size", std::int64_t{100}}}, Split::test);
  Loader loader(*dataset, {.mode = LoaderMode::evaluate, .batch = 16, .augmentations = {}, .subset = {}, .workers = 2});
  const auto round = [&] {
    while (loader.remaining() > 0) loader.next();
    loader.restart();
  };
  for (int k = 0; k < 3; ++k) round();
  EXPECT_EQ(testing::allocations_during(round), AllocationCount{});
}

}  // namespace
}  // namespace athanor
