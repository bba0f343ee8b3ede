#include "data/batch_source.h"

#include <cstring>
#include <limits>

#include "base/error.h"
#include "data/sampler.h"

namespace athanor {
namespace {

void expect_range(const char* what, std::int64_t first, std::int64_t last, std::int64_t count) {
  if (first < 0 || first >= last || last > count) {
    throw UsageError("a rank's {} [{}, {}) are not within the {} there are; use fewer ranks", what, first, last, count);
  }
}

}  // namespace

BatchSource::BatchSource(const Dataset& dataset, LoaderOptions options)
    : dataset_(dataset), options_(std::move(options)) {
  samples_ = options_.subset.empty() ? dataset.size() : static_cast<std::int64_t>(options_.subset.size());
  if (options_.batch < 1) throw UsageError("the batch is {}, want at least 1", options_.batch);
  if (options_.last_row == 0) options_.last_row = options_.batch;
  expect_range("rows", options_.first_row, options_.last_row, options_.batch);
  if (options_.mode == LoaderMode::train) {
    if (options_.batch > samples_) {
      throw UsageError("train.batch is {}, but {} has only {} samples to train on; use at most {}", options_.batch,
                       dataset.info().name, samples_, samples_);
    }
    batches_per_epoch_ = samples_ / options_.batch;
  } else {
    batches_per_epoch_ = (samples_ + options_.batch - 1) / options_.batch;
    if (options_.last_batch == 0) options_.last_batch = batches_per_epoch_;
    expect_range("batches", options_.first_batch, options_.last_batch, batches_per_epoch_);
  }
}

std::int64_t BatchSource::batches() const {
  if (options_.mode == LoaderMode::train) return std::numeric_limits<std::int64_t>::max();
  return options_.last_batch - options_.first_batch;
}

void BatchSource::fill(std::int64_t number, Batch& batch) const {
  const bool training = options_.mode == LoaderMode::train;
  const std::int64_t absolute = number + (training ? options_.start_step : options_.first_batch);
  batch.epoch = training ? options_.start_epoch + absolute / batches_per_epoch_ : 0;
  batch.step = absolute % batches_per_epoch_;
  batch.valid = 0;
  const Permutation order =
      epoch_order(options_.seed, static_cast<std::uint64_t>(batch.epoch), static_cast<std::uint64_t>(samples_));
  for (std::int64_t row = 0; row < rows(); ++row) {
    const std::int64_t position = batch.step * options_.batch + options_.first_row + row;
    if (position >= samples_) {
      fill_row(row, -1, batch);
    } else {
      fill_row(row,
               sample(training ? static_cast<std::int64_t>(order(static_cast<std::uint64_t>(position))) : position),
               batch);
    }
  }
}

void BatchSource::fill_row(std::int64_t row, std::int64_t sample, Batch& batch) const {
  const DatasetInfo& info = dataset_.info();
  const auto at = static_cast<std::size_t>(row);
  const auto bytes = static_cast<std::size_t>(info.image_bytes());
  const std::span<std::uint8_t> pixels = batch.images.subspan(at * bytes, bytes);
  batch.sample_indices[at] = sample;
  batch.transforms[at] = {};
  if (sample < 0) {
    batch.labels[at] = -1;
    std::memset(pixels.data(), 0, bytes);
    return;
  }
  dataset_.read(sample, pixels);
  batch.labels[at] = dataset_.label(sample);
  ++batch.valid;
  if (options_.mode == LoaderMode::train) {
    batch.transforms[at] = transform_for(options_.augmentations, options_.seed, static_cast<std::uint64_t>(batch.epoch),
                                         sample, info.height, info.width);
  }
}

}  // namespace athanor
