#include "train/synthetic.h"

#include "base/random.h"
#include "graph/builder.h"
#include "models/model.h"
#include "train/session.h"

namespace athanor {
namespace {

/// How many classes the model tells apart; those of the data where its output is no list of logits, which whoever
/// plans the model refuses in better words.
std::int64_t classes_of(const ModelSpec& model, const DatasetInfo& info) {
  const Shape images{1, info.channels, info.height, info.width};
  if (model.input.rank() != 0 && model.input != Shape{info.channels, info.height, info.width}) return info.classes;
  Graph graph;
  Builder builder(graph);
  builder.training = false;
  const ValueId logits = build_model(builder, builder.input("images", images, DType::f32), model);
  const Shape& shape = builder.shape(logits);
  return shape.rank() == 2 ? shape[1] : info.classes;
}

}  // namespace

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
  const std::optional<DatasetInfo> described = describe_dataset(set.name, set.attributes);
  DatasetInfo info = described ? *described : open_dataset(set.name, set.attributes, Split::train)->info();
  info.classes = classes_of(model_of(recipe), info);
  return info;
}

}  // namespace athanor
