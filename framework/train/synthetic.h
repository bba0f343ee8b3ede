// Data for measurements: the shape of a recipe's data set, and batches of noise.
#pragma once

#include "data/augment.h"
#include "data/batch.h"
#include "data/dataset.h"
#include "train/recipe.h"

namespace athanor {

/// The data set's shape, with as many classes as the model of the recipe gives: labels are noise here. Its files are
/// opened only where nothing else tells. Throws DataError, UsageError.
DatasetInfo described_data(const Recipe& recipe);

/// Random pixels and labels, transforms as the recipe's augmentations draw them.
void fill_synthetic(Batch& batch, const DatasetInfo& info, const Augmentations& augmentations);

}  // namespace athanor
