// AlchemyNet: one convolution and one linear layer, for 28 × 28 digits but any size of image.
#include "graph/layer.h"
#include "models/blocks.h"
#include "models/fields.h"
#include "models/model.h"

namespace athanor {
namespace {

/// x [N, C, H, W]; conv1 keeps no border, fc has 32 · ⌊(H − 2) / 2⌋ · ⌊(W − 2) / 2⌋ inputs.
ValueId build_alchemy_net(Builder& builder, ValueId x, const Attributes& attributes) {
  const std::string& init = attributes.text("init");
  x = build_layer(builder, x, "conv", {{"channels", std::int64_t{32}}, {"init", init}}, "conv1");
  x = blocks::relu(builder, x, "relu1");
  x = build_layer(builder, x, "max_pool", {{"kernel", std::vector<std::int64_t>{2}}}, "pool1");
  x = build_layer(builder, x, "flatten", {}, "flatten");
  return blocks::classifier(builder, x, attributes.integer("classes"), init);
}

const RegisterModel kAlchemyNetModel{
    {.name = "alchemy_net",
     .doc = "Convolution 3×3 to 32 channels, ReLU, max pool 2×2, linear: 54,410 parameters at 1×28×28 and 10 classes.",
     .fields = {classes_field(10), init_field("torch")},
     .shorthand = {}},
    build_alchemy_net};

}  // namespace
}  // namespace athanor
