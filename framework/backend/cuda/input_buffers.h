// A rank's rows of a batch on their way to the GPU: two device buffers that steps use in turn, each with pinned memory
// beside it, so that a batch is copied while the step before it runs.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "backend/cuda/device_memory.h"
#include "data/batch.h"
#include "graph/plan.h"

namespace athanor::cuda {

inline constexpr int kSlots = 2;

class InputBuffers {
 public:
  /// For `shards` shards of `plan`, one behind the other, and `extra_bytes` that travel with them.
  InputBuffers(Device& device, const Plan& plan, int shards, std::size_t extra_bytes);

  /// Where shard `shard` (of this rank, from 0) finds an input of the graph.
  void* address(int slot, int shard, ValueId input) const;
  /// The extra bytes: on the device, and in the pinned memory that upload() copies from.
  void* extra(int slot) const { return device_[index(slot)].data() + extra_offset_; }
  void* pinned_extra(int slot) const { return pinned_[index(slot)].data() + extra_offset_; }
  std::int64_t rows_of_shard() const { return rows_; }

  /// Copies the rows to the slot and lets the compute stream wait for them. The slot's last reader must be done. The
  /// batch may be overwritten when this returns. `keep_images`: the slot has them already.
  void upload(const Batch& batch, int slot, bool keep_images = false);

  /// Device memory for a plan: what the constructor allocates.
  static std::size_t bytes(const Plan& plan, int shards, std::size_t extra_bytes);

 private:
  /// An array of the batch: `row_bytes` a row.
  struct Array {
    ValueId value = kNoValue;
    std::size_t offset = 0;
    std::size_t row_bytes = 0;
  };
  static std::size_t index(int slot) { return static_cast<std::size_t>(slot); }
  void lay_out(const Plan& plan, int shards, std::size_t extra_bytes);
  template <typename T>
  void stage(const Array& array, std::span<T> rows, std::byte* base) const;

  Device& device_ref_;
  std::int64_t rows_ = 0;  ///< of one shard
  std::int64_t all_rows_ = 0;
  Array labels_, sample_indices_, transforms_, epoch_, images_;
  std::size_t extra_offset_ = 0;
  std::size_t images_offset_ = 0;  ///< images stand last
  std::size_t bytes_ = 0;
  std::array<DeviceMemory, kSlots> device_, pinned_;
  std::array<DeviceEvent, kSlots> uploaded_;
};

}  // namespace athanor::cuda
