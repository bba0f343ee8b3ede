// The data of a run. The two splits are opened side by side, and what plans need is there first, so that a run can make
// its plans while the training images are still being unpacked.
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <vector>

#include "data/augment.h"
#include "data/dataset.h"
#include "train/recipe.h"

namespace athanor {

/// What is trained on and what is evaluated.
struct RunData {
  std::unique_ptr<Dataset> train;
  std::unique_ptr<Dataset> test;
  std::vector<std::int64_t> train_subset;       ///< empty: all
  std::vector<std::int64_t> validation_subset;  ///< of the training split; empty: none
  Augmentations augmentations;

  std::int64_t train_size() const;
};

/// A run's data while they are being opened. All functions throw DataError and UsageError.
class OpeningData {
 public:
  /// Starts; `recipe` must outlive this.
  explicit OpeningData(const Recipe& recipe);

  /// Waits for the test split, which is the small one.
  const DatasetInfo& info();
  /// Images to train on, hold-out not included, as info() has them.
  std::int64_t train_size();
  /// Waits for both and cuts off the hold-out. Once.
  RunData finish();

 private:
  void wait_for_train();

  const Recipe& recipe_;
  Augmentations augmentations_;
  std::unique_ptr<Dataset> train_, test_;
  std::future<std::unique_ptr<Dataset>> opening_train_;
};

/// Opens both splits and cuts off the hold-out. Throws DataError, UsageError.
RunData open_data(const Recipe& recipe);

}  // namespace athanor
