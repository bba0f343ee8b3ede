#include "train/synthetic.h"

#include "base/random.h"

namespace athanor {

void fill_synthetic(Batch& batch, const DatasetInfo& info, const Augmentations& augmentations) {
  RandomStream random(0, Purpose::test, 1, 0);
  for (std::uint8_t& pixel : batch.images) pixel = static_cast<std::uint8_t>(random.next());
  for (std::int64_t row = 0; row < batch.rows; ++row) {
    const auto i = static_cast<std::size_t>(row);
    batch.labels[i] = static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(info.classes)));
    batch.sample_indices[i] = row;
    batch.transforms[i] = transform_for(augmentations, 0, 0, row, info.height, info.width);
  }
  batch.valid = batch.rows;
}

DatasetInfo described_data(const Recipe& recipe) {
  const NamedSettings& set = recipe.data.set;
  const std::optional<DatasetInfo> info = describe_dataset(set.name, set.attributes);
  return info ? *info : open_dataset(set.name, set.attributes, Split::train)->info();
}

}  // namespace athanor
