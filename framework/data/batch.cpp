#include "data/batch.h"

#include <cstdlib>
#include <cstring>
#include <new>

namespace athanor {
namespace {

constexpr std::size_t kAlignment = 64;

constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

void* allocate_host(std::size_t bytes) {
  void* memory = std::aligned_alloc(kAlignment, aligned(bytes));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

/// Takes `count` elements from the front of `memory`.
template <typename T>
std::span<T> carve(std::byte*& memory, std::size_t count) {
  T* first = reinterpret_cast<T*>(memory);
  memory += aligned(count * sizeof(T));
  return {first, count};
}

}  // namespace

BatchMemory host_batch_memory() {
  return {.allocate = allocate_host, .release = std::free};
}

std::size_t batch_bytes(std::int64_t rows, const DatasetInfo& info) {
  const auto count = static_cast<std::size_t>(rows);
  return aligned(count * static_cast<std::size_t>(info.image_bytes())) + aligned(count * sizeof(std::int32_t)) +
         aligned(count * sizeof(std::int64_t)) + aligned(count * sizeof(kernels::SampleTransform));
}

BatchStorage::BatchStorage(std::int64_t rows, const DatasetInfo& info, const BatchMemory& memory)
    : memory_(nullptr, memory.release) {
  const auto count = static_cast<std::size_t>(rows);
  const std::size_t image_bytes = count * static_cast<std::size_t>(info.image_bytes());
  const std::size_t total = batch_bytes(rows, info);
  memory_.reset(memory.allocate(total));
  auto* next = static_cast<std::byte*>(memory_.get());
  std::memset(next, 0, total);
  batch_.rows = rows;
  batch_.images = carve<std::uint8_t>(next, image_bytes);
  batch_.labels = carve<std::int32_t>(next, count);
  batch_.sample_indices = carve<std::int64_t>(next, count);
  batch_.transforms = carve<kernels::SampleTransform>(next, count);
}

}  // namespace athanor
