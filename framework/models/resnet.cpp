// Residual networks for large images (He et al. 2015, table 1) in the form known as v1.5, whose bottlenecks have their
// stride in the 3×3 convolution; and the same with squeeze-and-excitation.
#include <algorithm>
#include <array>

#include "graph/layer.h"
#include "models/blocks.h"
#include "models/fields.h"
#include "models/model.h"

namespace athanor {
namespace {

struct Family {
  std::int64_t depth;
  bool has_bottlenecks;
  std::array<std::int64_t, 4> blocks;
};

constexpr std::array<Family, 5> kFamilies{{{18, false, {2, 2, 2, 2}},
                                           {34, false, {3, 4, 6, 3}},
                                           {50, true, {3, 4, 6, 3}},
                                           {101, true, {3, 4, 23, 3}},
                                           {152, true, {3, 8, 36, 3}}}};

struct ResnetSettings {
  std::string init;
  blocks::BatchNorm norm;
  std::int64_t ratio = 0;  ///< of squeeze-and-excitation; 0: none
  bool zero_init_residual = false;
  bool has_bottlenecks = false;
};

const Family& family_of(const Builder& builder, std::int64_t depth) {
  const auto found =
      std::find_if(kFamilies.begin(), kFamilies.end(), [&](const Family& f) { return f.depth == depth; });
  if (found != kFamilies.end()) return *found;
  const std::string where = builder.place.text();
  throw UsageError("{}{}model.depth is {}, want 18, 34, 50, 101 or 152", where, where.empty() ? "" : ": ", depth);
}

ValueId conv_norm_relu(Builder& builder, ValueId x, const blocks::Conv& shape, const ResnetSettings& settings,
                       int number) {
  x = blocks::conv(builder, x, shape, settings.init, fmt::format("conv{}", number));
  x = blocks::batch_norm(builder, x, settings.norm, fmt::format("bn{}", number));
  return blocks::relu(builder, x, fmt::format("relu{}", number));
}

/// The input itself, or a 1×1 convolution and a batch norm "downsample" where the block changes the shape.
ValueId shortcut(Builder& builder, ValueId x, const blocks::Conv& shape, const ResnetSettings& settings) {
  if (shape.stride == 1 && builder.shape(x)[1] == shape.channels) return x;
  const Scope scope(builder, "downsample");
  x = blocks::conv(builder, x, {.channels = shape.channels, .kernel = 1, .stride = shape.stride}, settings.init,
                   "conv");
  return blocks::batch_norm(builder, x, settings.norm, "bn");
}

ValueId resnet_block(Builder& builder, ValueId x, std::int64_t width, std::int64_t stride,
                     const ResnetSettings& settings) {
  const std::int64_t channels = settings.has_bottlenecks ? 4 * width : width;
  const ValueId other = shortcut(builder, x, {.channels = channels, .stride = stride}, settings);
  ValueId y = x;
  if (settings.has_bottlenecks) {
    y = conv_norm_relu(builder, y, {.channels = width, .kernel = 1}, settings, 1);
    y = conv_norm_relu(builder, y, {.channels = width, .stride = stride}, settings, 2);
    y = blocks::conv(builder, y, {.channels = channels, .kernel = 1}, settings.init, "conv3");
  } else {
    y = conv_norm_relu(builder, y, {.channels = width, .stride = stride}, settings, 1);
    y = blocks::conv(builder, y, {.channels = channels}, settings.init, "conv2");
  }
  const int last = settings.has_bottlenecks ? 3 : 2;
  blocks::BatchNorm last_norm = settings.norm;
  last_norm.zero_gamma = settings.zero_init_residual;
  y = blocks::batch_norm(builder, y, last_norm, fmt::format("bn{}", last));
  if (settings.ratio > 0) {
    const Scope scope(builder, "se");
    y = blocks::squeeze_excite(builder, y, settings.ratio, settings.init);
  }
  y = builder.add1("add", {y, other});
  return blocks::relu(builder, y, fmt::format("relu{}", last));
}

/// x [N, C, H, W]; the stages have 64, 128, 256 and 512 channels (four times that with bottlenecks), from H/4 to H/32.
ValueId build_resnet(Builder& builder, ValueId x, const Attributes& attributes) {
  const Family& family = family_of(builder, attributes.integer("depth"));
  ResnetSettings settings{.init = attributes.text("init"),
                          .norm = {.is_synchronized = attributes.flag("synchronized_batch_norm")},
                          .zero_init_residual = attributes.flag("zero_init_residual"),
                          .has_bottlenecks = family.has_bottlenecks};
  if (attributes.find("ratio") != nullptr) settings.ratio = attributes.integer("ratio");
  x = conv_norm_relu(builder, x, {.channels = 64, .kernel = 7, .stride = 2}, settings, 1);
  x = build_layer(builder, x, "max_pool",
                  {{"kernel", std::vector<std::int64_t>{3}},
                   {"stride", std::vector<std::int64_t>{2}},
                   {"padding", std::vector<std::int64_t>{1}}},
                  "pool1");
  for (std::size_t stage = 0; stage < family.blocks.size(); ++stage) {
    const Scope stage_scope(builder, fmt::format("stage{}", stage + 1));
    for (std::int64_t i = 1; i <= family.blocks[stage]; ++i) {
      const Scope block_scope(builder, fmt::format("block{}", i));
      x = resnet_block(builder, x, std::int64_t{64} << stage, stage > 0 && i == 1 ? 2 : 1, settings);
    }
  }
  x = build_layer(builder, x, "global_avg_pool", {}, "pool");
  return blocks::classifier(builder, x, attributes.integer("classes"), settings.init);
}

std::vector<Field> resnet_fields() {
  return {integer("depth", 50, "Layers with weights: 18, 34, 50, 101 or 152.").at_least(18).at_most(152),
          classes_field(1000),
          boolean("zero_init_residual", false,
                  "Whether the last batch norm of each block starts at 0, so that blocks "
                  "start as the identity (Goyal et al. 2017)."),
          init_field("he"), synchronized_field()};
}

std::vector<Field> resnet_fields_with_ratio() {
  std::vector<Field> all = resnet_fields();
  all.push_back(ratio_field());
  return all;
}

const RegisterModel kResnetPlain{{.name = "resnet",
                                  .doc = "Residual network for large images, v1.5; depth 50 has 25,557,032 parameters.",
                                  .fields = resnet_fields(),
                                  .shorthand = {}},
                                 build_resnet};
const RegisterModel kResnetSqueezed{
    {.name = "se_resnet",
     .doc = "resnet with squeeze-and-excitation in every block (Hu et al. 2018); depth 50 has "
            "28,088,024 parameters.",
     .fields = resnet_fields_with_ratio(),
     .shorthand = {}},
    build_resnet};

}  // namespace
}  // namespace athanor
