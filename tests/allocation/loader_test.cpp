// Counts every allocation of this program, to hold the loader to its word: none per batch.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "data/loader.h"

namespace {

std::atomic<long> allocations{0};

void* counted(std::size_t bytes) {
  ++allocations;
  void* memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) {
  return counted(bytes);
}
void* operator new[](std::size_t bytes) {
  return counted(bytes);
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

namespace athanor {
namespace {

TEST(Loader, AllocatesNothingPerBatch) {
  const auto dataset = open_dataset("glyphs", {{"train_size", std::int64_t{200}}}, Split::train);
  Loader loader(*dataset, {.batch = 16,
                           .augmentations = {.crop_padding = 2, .flip_probability = 0.5, .cutout_size = 8},
                           .subset = {},
                           .workers = 2});
  // Both workers are at work once every slot of the ring has been filled twice.
  for (int k = 0; k < 8; ++k) loader.next();
  const long before = allocations;
  for (int k = 0; k < 60; ++k) loader.next();
  EXPECT_EQ(allocations - before, 0);
  ::operator delete(::operator new(1));  // called by name, so that the compiler may not leave the pair out
  EXPECT_GT(allocations - before, 0);
}

}  // namespace
}  // namespace athanor
