// Networks listed in a recipe: the layers that hold layers, and what is said where shapes do not fit.
#include <gmock/gmock.h>

#include "models/build.h"

namespace athanor::models_test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Graph evaluate(const std::string& yaml) {
  return evaluation_graph(listed(yaml), images(2, {1, 28, 28}, 10));
}

std::string refusal(const std::string& yaml) {
  return usage_error([&] { evaluate(yaml); });
}

TEST(Layers, ResidualAddsItsBranches) {
  const Graph graph = evaluate(R"(
- conv: 8
- residual:
    body:
      - conv: {channels: 8, padding: 1}
      - tanh
    shortcut:
      - conv: {channels: 8, kernel: 1, bias: false}
- global_avg_pool
- linear: 10
)");
  EXPECT_THAT(parameter_names(graph),
              ElementsAre("conv1.weight", "conv1.bias", "residual1.body.conv1.weight", "residual1.body.conv1.bias",
                          "residual1.shortcut.conv1.weight", "linear1.weight", "linear1.bias"));
  const auto sum =
      std::find_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& n) { return n.op->name == "add"; });
  ASSERT_NE(sum, graph.nodes.end());
  EXPECT_EQ(graph.node(graph.value(sum->inputs[0]).producer).layer, "residual1.body.tanh1");
  EXPECT_EQ(graph.node(graph.value(sum->inputs[1]).producer).layer, "residual1.shortcut.conv1");
}

TEST(Layers, EmptyShortcutPassesTheInputOn) {
  const Graph graph = evaluate("- conv: 8\n- residual:\n    body:\n      - tanh\n- global_avg_pool\n- linear: 10\n");
  const auto sum =
      std::find_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& n) { return n.op->name == "add"; });
  ASSERT_NE(sum, graph.nodes.end());
  EXPECT_EQ(graph.node(graph.value(sum->inputs[1]).producer).layer, "conv1");
}

TEST(Layers, BranchesOfDifferentShapeNameLayerPlaceAndBothShapes) {
  EXPECT_THAT(refusal("- conv: 8\n- residual:\n    body:\n      - conv: 16\n- flatten\n- linear: 10\n"),
              AllOf(HasSubstr("residual1"), HasSubstr("net.yaml:2:3"), HasSubstr("[2, 16, 24, 24]"),
                    HasSubstr("[2, 8, 26, 26]")));
}

TEST(Layers, AWindowThatDoesNotFitNamesLayerPlaceAndBothShapes) {
  EXPECT_THAT(refusal("- max_pool: 4\n- conv: {channels: 4, kernel: 9}\n- flatten\n- linear: 10\n"),
              AllOf(HasSubstr("conv1"), HasSubstr("net.yaml:2:3"), HasSubstr("9x9"), HasSubstr("[2, 1, 7, 7]")));
}

TEST(Layers, LinearOnAnImageAsksForFlatten) {
  EXPECT_THAT(refusal("- conv: 4\n- linear: 10\n"), AllOf(HasSubstr("linear1"), HasSubstr("net.yaml:2:3"),
                                                          HasSubstr("[2, 4, 26, 26]"), HasSubstr("flatten")));
}

TEST(Layers, RepeatGivesEachRoundParametersOfItsOwn) {
  const Graph graph = evaluate(R"(
- repeat:
    times: 2
    layers:
      - conv: {channels: 4, bias: false}
      - repeat:
          times: 2
          layers:
            - batch_norm
- flatten
- linear: {features: 10, bias: false}
)");
  EXPECT_THAT(
      parameter_names(graph),
      ElementsAre("repeat1.1.conv1.weight", "repeat1.1.repeat1.1.batch_norm1.weight",
                  "repeat1.1.repeat1.1.batch_norm1.bias", "repeat1.1.repeat1.2.batch_norm1.weight",
                  "repeat1.1.repeat1.2.batch_norm1.bias", "repeat1.2.conv1.weight",
                  "repeat1.2.repeat1.1.batch_norm1.weight", "repeat1.2.repeat1.1.batch_norm1.bias",
                  "repeat1.2.repeat1.2.batch_norm1.weight", "repeat1.2.repeat1.2.batch_norm1.bias", "linear1.weight"));
}

TEST(Layers, SqueezeExciteKeepsTheShapeAndNamesItsTwoLayers) {
  const Graph graph = evaluate("- conv: 8\n- squeeze_excite: {ratio: 4}\n- flatten\n- linear: 10\n");
  EXPECT_EQ(graph.value(graph.find("squeeze_excite1.fc1.weight")).shape, (Shape{2, 8}));
  EXPECT_EQ(graph.value(graph.find("squeeze_excite1.fc2.weight")).shape, (Shape{8, 2}));
  EXPECT_EQ(graph.value(graph.find("linear1.weight")).shape, (Shape{10, 8 * 26 * 26}));
  EXPECT_THAT(refusal("- flatten\n- squeeze_excite\n- linear: 10\n"),
              AllOf(HasSubstr("squeeze_excite1"), HasSubstr("net.yaml:2:3"), HasSubstr("[2, 784]")));
}

TEST(Layers, AnOutputThatIsNotOneNumberPerClassNamesTheModelsPlace) {
  EXPECT_THAT(refusal("- conv: 10\n"),
              AllOf(HasSubstr("net.yaml:1:1"), HasSubstr("[2, 10, 26, 26]"), HasSubstr("[2, 10]")));
  EXPECT_THAT(refusal("- flatten\n- linear: 9\n"),
              AllOf(HasSubstr("net.yaml:1:1"), HasSubstr("[2, 9]"), HasSubstr("[2, 10]"), HasSubstr("9 classes")));
}

TEST(Layers, AnInputOtherThanTheDataIsRefusedWithBothShapes) {
  ModelSpec model = listed("- flatten\n- linear: 10\n");
  model.input = {1, 28, 28};
  EXPECT_THAT(usage_error([&] {
                evaluation_graph(model, images(2, {3, 32, 32}, 10));
              }),
              AllOf(HasSubstr("[1, 28, 28]"), HasSubstr("[3, 32, 32]")));
}

}  // namespace
}  // namespace athanor::models_test
