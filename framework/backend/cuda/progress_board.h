// How far the sums of a step have come, in words of pinned memory that the device writes and the host reads at any
// time, without a call to the device: also inside the replay of a graph.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "backend/cuda/device_memory.h"

namespace athanor::cuda {

/// Items are a step's buckets, in order, and its reports behind them.
class ProgressBoard {
 public:
  /// `device` must outlive this.
  ProgressBoard(Device& device, std::size_t items);

  /// Enqueued around each step and item, all on one stream: steps are counted from 1 since construction.
  void enqueue_step(Stream stream);
  void enqueue_begin(std::size_t item, Stream stream);
  void enqueue_end(std::size_t item, Stream stream);

  std::size_t items() const { return items_; }
  /// What has begun and not ended. Any thread.
  struct Open {
    std::int64_t sequence = 0;  ///< number of the step
    std::size_t item = 0;
    friend bool operator==(const Open&, const Open&) = default;
  };
  std::optional<Open> open_item() const;

 private:
  void store(std::size_t word, bool advance, Stream stream);
  std::int64_t read(std::size_t word) const;

  Device& device_;
  std::size_t items_;
  DeviceMemory counter_;
  DeviceMemory words_;  // pinned: of the step, then begin and end of each item
};

}  // namespace athanor::cuda
