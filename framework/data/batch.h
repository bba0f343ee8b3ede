// What the loader hands to the step: the raw images of a batch, their labels, and what is to be done to each image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "data/dataset.h"
#include "kernels/sample_transform.h"

namespace athanor {

/// Views of one batch of N rows. The arrays begin at multiples of 64 bytes and stay where they are for the loader's
/// life.
struct Batch {
  std::int64_t rows = 0;                           ///< N, the rows of this rank
  std::span<std::uint8_t> images;                  ///< raw pixels [N, C, H, W]
  std::span<std::int32_t> labels;                  ///< [N]; −1: masked, counts for nothing
  std::span<std::int64_t> sample_indices;          ///< [N], indices into the data set; −1 where masked
  std::span<kernels::SampleTransform> transforms;  ///< [N]
  std::int64_t epoch = 0;                          ///< counted from 0
  std::int64_t step = 0;                           ///< number of the batch in its epoch, from 0
  std::int64_t valid = 0;                          ///< rows that are not masked; they come first
};

/// Where batches lie: ordinary memory, or what a device can read directly (pinned).
struct BatchMemory {
  void* (*allocate)(std::size_t bytes);  ///< aligned to 64 bytes at least; throws when there is no memory
  void (*release)(void* memory);
};

/// Ordinary memory.
BatchMemory host_batch_memory();

/// What one batch takes.
std::size_t batch_bytes(std::int64_t rows, const DatasetInfo& info);

/// One batch and the memory behind it.
class BatchStorage {
 public:
  BatchStorage(std::int64_t rows, const DatasetInfo& info, const BatchMemory& memory);

  Batch& batch() { return batch_; }
  const Batch& batch() const { return batch_; }

 private:
  std::unique_ptr<void, void (*)(void*)> memory_;
  Batch batch_;
};

}  // namespace athanor
