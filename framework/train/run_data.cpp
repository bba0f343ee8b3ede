#include "train/run_data.h"

#include "base/error.h"
#include "data/split.h"

namespace athanor {

std::int64_t RunData::train_size() const {
  return train_subset.empty() ? train->size() : static_cast<std::int64_t>(train_subset.size());
}

OpeningData::OpeningData(const Recipe& recipe)
    : recipe_(recipe), augmentations_(augmentations_from(recipe.data.augment)) {
  // A copy of the settings: others fill in what the recipe leaves open meanwhile.
  opening_train_ = std::async(std::launch::async,
                              [set = recipe.data.set] { return open_dataset(set.name, set.attributes, Split::train); });
}

const DatasetInfo& OpeningData::info() {
  if (!test_) test_ = open_dataset(recipe_.data.set.name, recipe_.data.set.attributes, Split::test);
  return test_->info();
}

std::int64_t OpeningData::train_size() {
  const std::int64_t size = info().train_size, validation = recipe_.data.validation;
  // Too few may mean that the files are damaged, which their reader says better than who counts images.
  if (size - validation < recipe_.train.batch) wait_for_train();
  if (validation > 0 && validation >= size) {
    const std::string place = recipe_.place("data.validation").text();
    throw UsageError("{}{}data.validation is {}, but there are only {} training images; use at most {}", place,
                     place.empty() ? "" : ": ", validation, size, size - 1);
  }
  return size - validation;
}

void OpeningData::wait_for_train() {
  if (!train_) train_ = opening_train_.get();
}

RunData OpeningData::finish() {
  RunData data;
  const std::int64_t expected = train_size();
  wait_for_train();
  data.train = std::move(train_);
  data.test = std::move(test_);
  data.augmentations = augmentations_;
  if (recipe_.data.validation > 0) {
    auto split = split_indices(data.train->labels(), recipe_.data.validation, recipe_.train.seed);
    data.train_subset = std::move(split.train);
    data.validation_subset = std::move(split.validation);
  }
  const DatasetInfo &train = data.train->info(), &test = data.test->info();
  const auto shape = [](const DatasetInfo& info) {
    return fmt::format("{}×{}×{}, {} classes", info.channels, info.height, info.width, info.classes);
  };
  if (shape(train) != shape(test)) {
    throw DataError(
        "data set {}: the images of the training split are {}, those of the test split {}; are all files of "
        "one set?",
        recipe_.data.set.name, shape(train), shape(test));
  }
  if (data.train_size() != expected) {
    throw DataError("data set {}: the training split has {} images, its header promised {}; fetch the files again",
                    recipe_.data.set.name, data.train->size(), expected + recipe_.data.validation);
  }
  return data;
}

RunData open_data(const Recipe& recipe) {
  return OpeningData(recipe).finish();
}

}  // namespace athanor
