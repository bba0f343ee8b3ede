// PhilosopherStone: a perceptron with one hidden layer, the baseline that a convolution has to beat.
#include "graph/layer.h"
#include "models/blocks.h"
#include "models/fields.h"
#include "models/model.h"

namespace athanor {
namespace {

/// x [N, C, H, W]; fc1 has C · H · W inputs (1,024 for one channel of 32 × 32).
ValueId build_philosopher_stone(Builder& builder, ValueId x, const Attributes& attributes) {
  const std::string& init = attributes.text("init");
  x = build_layer(builder, x, "flatten", {}, "flatten");
  x = build_layer(builder, x, "linear", {{"features", attributes.integer("hidden")}, {"init", init}}, "fc1");
  x = blocks::relu(builder, x, "relu1");
  return blocks::classifier(builder, x, attributes.integer("classes"), init, "fc2");
}

const RegisterModel kPhilosopherStoneModel{
    {.name = "philosopher_stone",
     .doc = "Linear to 512 features, ReLU, linear.",
     .fields = {integer("hidden", 512, "Features of the hidden layer.").at_least(1), classes_field(10),
                init_field("torch")},
     .shorthand = {}},
    build_philosopher_stone};

}  // namespace
}  // namespace athanor
