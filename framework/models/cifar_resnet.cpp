// Residual networks for small images (He et al. 2015, section 4.2): three stages of n blocks of two 3×3 convolutions,
// with parameter-free shortcuts (option A); and the same with squeeze-and-excitation.
#include "graph/layer.h"
#include "models/blocks.h"
#include "models/fields.h"
#include "models/model.h"

namespace athanor {
namespace {

struct CifarResnetSettings {
  std::string init;
  blocks::BatchNorm norm;
  std::int64_t ratio = 0;  ///< of squeeze-and-excitation; 0: none
};

ValueId cifar_resnet_block(Builder& builder, ValueId x, const blocks::Conv& shape,
                           const CifarResnetSettings& settings) {
  ValueId shortcut = x;
  if (shape.stride != 1 || builder.shape(x)[1] != shape.channels) {
    shortcut =
        build_layer(builder, x, "shortcut_a", {{"stride", shape.stride}, {"channels", shape.channels}}, "shortcut");
  }
  ValueId y = blocks::conv(builder, x, shape, settings.init, "conv1");
  y = blocks::batch_norm(builder, y, settings.norm, "bn1");
  y = blocks::relu(builder, y, "relu1");
  y = blocks::conv(builder, y, {.channels = shape.channels}, settings.init, "conv2");
  y = blocks::batch_norm(builder, y, settings.norm, "bn2");
  if (settings.ratio > 0) {
    const Scope scope(builder, "se");
    y = blocks::squeeze_excite(builder, y, settings.ratio, settings.init);
  }
  y = builder.add1("add", {y, shortcut});
  return blocks::relu(builder, y, "relu2");
}

/// Blocks of each stage; throws UsageError unless depth is 6n + 2.
std::int64_t blocks_per_stage(const Builder& builder, std::int64_t depth) {
  const std::int64_t n = (depth - 2) / 6;
  if (6 * n + 2 == depth) return n;
  const std::string where = builder.place.text();
  throw UsageError("{}{}model.depth is {}, want 6n + 2: {} or {}", where, where.empty() ? "" : ": ", depth, 6 * n + 2,
                   6 * n + 8);
}

/// x [N, C, H, W]; the stages have width, 2 · width and 4 · width channels at H × W, H/2 × W/2 and H/4 × W/4.
ValueId build_cifar_resnet(Builder& builder, ValueId x, const Attributes& attributes) {
  const std::int64_t n = blocks_per_stage(builder, attributes.integer("depth"));
  const std::int64_t width = attributes.integer("width");
  CifarResnetSettings settings{.init = attributes.text("init"),
                               .norm = {.is_synchronized = attributes.flag("synchronized_batch_norm")}};
  if (attributes.find("ratio") != nullptr) settings.ratio = attributes.integer("ratio");
  x = blocks::conv(builder, x, {.channels = width}, settings.init, "conv1");
  x = blocks::batch_norm(builder, x, settings.norm, "bn1");
  x = blocks::relu(builder, x, "relu1");
  for (std::int64_t stage = 1; stage <= 3; ++stage) {
    const Scope stage_scope(builder, fmt::format("stage{}", stage));
    for (std::int64_t i = 1; i <= n; ++i) {
      const Scope block_scope(builder, fmt::format("block{}", i));
      const std::int64_t stride = stage > 1 && i == 1 ? 2 : 1;
      x = cifar_resnet_block(builder, x, {.channels = width << (stage - 1), .stride = stride}, settings);
    }
  }
  x = build_layer(builder, x, "global_avg_pool", {}, "pool");
  return blocks::classifier(builder, x, attributes.integer("classes"), settings.init);
}

std::vector<Field> cifar_resnet_fields() {
  return {integer("depth", 20, "Layers with weights, 6n + 2: 8, 14, 20, 32, 44, 56, 110, 1202, ….").at_least(8),
          integer("width", 16, "Channels of the first stage.").at_least(1), classes_field(10), init_field("he"),
          synchronized_field()};
}

std::vector<Field> cifar_resnet_fields_with_ratio() {
  std::vector<Field> all = cifar_resnet_fields();
  all.push_back(ratio_field());
  return all;
}

const RegisterModel kCifarResnetPlain{
    {.name = "cifar_resnet",
     .doc = "Residual network for small images; depth 20 has 269,722 parameters at 3×32×32.",
     .fields = cifar_resnet_fields(),
     .shorthand = {}},
    build_cifar_resnet};
const RegisterModel kCifarResnetSqueezed{
    {.name = "se_cifar_resnet",
     .doc = "cifar_resnet with squeeze-and-excitation in every block (Hu et al. 2018).",
     .fields = cifar_resnet_fields_with_ratio(),
     .shorthand = {}},
    build_cifar_resnet};

}  // namespace
}  // namespace athanor
