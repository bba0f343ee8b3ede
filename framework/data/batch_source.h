// Which samples a batch holds, and filling it: pure functions of (options, number of the batch), so that any worker of
// any rank can make any batch. No threads here; data/loader.h runs this ahead of the step.
#pragma once

#include <cstdint>
#include <vector>

#include "data/augment.h"
#include "data/batch.h"
#include "data/dataset.h"

namespace athanor {

enum class LoaderMode : std::uint8_t {
  train,  ///< shuffled anew each epoch and augmented; an epoch is ⌊N / batch⌋ batches, the tail is left out; no end
  evaluate  ///< in order, every sample once, not augmented; the last batch is filled up with masked rows
};

/// Batches held ahead of the step, the one in use included.
inline constexpr int kTrainingDepth = 4;
inline constexpr int kEvaluationDepth = 2;

struct LoaderOptions {
  LoaderMode mode = LoaderMode::train;
  std::int64_t batch = 0;        ///< samples of one update, over all ranks
  std::int64_t first_row = 0;    ///< this rank loads rows [first_row, last_row) of every batch
  std::int64_t last_row = 0;     ///< 0: all
  std::uint64_t seed = 0;        ///< train: of the order and the augmentation
  std::int64_t start_epoch = 0;  ///< train: where to begin, counted from 0
  std::int64_t start_step = 0;   ///< train: batches into that epoch; may exceed it
  std::int64_t first_batch = 0;  ///< evaluate: this rank takes batches [first_batch, last_batch)
  std::int64_t last_batch = 0;   ///< 0: all
  Augmentations augmentations;
  std::vector<std::int64_t> subset;  ///< samples to draw from (split_indices); empty: all
  int workers = 1;                   ///< threads that fill batches
  int depth = kTrainingDepth;        ///< batches held, the one in use included
  BatchMemory memory = host_batch_memory();
  /// Files that must stay as they are while batches are made (Dataset::source_files); null ones count for nothing.
  std::vector<std::shared_ptr<const SourceFiles>> watched;
};

class BatchSource {
 public:
  /// `dataset` must outlive this. Throws UsageError where a batch is larger than the data set (train) or a range is
  /// empty or reaches outside.
  BatchSource(const Dataset& dataset, LoaderOptions options);

  /// Samples to draw from.
  std::int64_t samples() const { return samples_; }
  /// Batches of an epoch (train: ⌊N / batch⌋; evaluate: ⌈N / batch⌉), over all ranks.
  std::int64_t batches_per_epoch() const { return batches_per_epoch_; }
  /// How many batches this source has: evaluate: of this rank; train: no end (INT64_MAX).
  std::int64_t batches() const;
  /// Rows of this rank in a batch.
  std::int64_t rows() const { return options_.last_row - options_.first_row; }
  const Dataset& dataset() const { return dataset_; }
  const LoaderOptions& options() const { return options_; }

  /// Fills `batch` (of rows() rows) with batch number `number`, counted from where this source starts.
  /// Thread-safe, allocates nothing of its own; throws what Dataset::read throws.
  void fill(std::int64_t number, Batch& batch) const;

 private:
  void fill_row(std::int64_t row, std::int64_t sample, Batch& batch) const;
  std::int64_t sample(std::int64_t place) const {
    return options_.subset.empty() ? place : options_.subset[static_cast<std::size_t>(place)];
  }

  const Dataset& dataset_;
  LoaderOptions options_;
  std::int64_t samples_ = 0;
  std::int64_t batches_per_epoch_ = 0;
};

}  // namespace athanor
