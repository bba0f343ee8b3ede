// Networks written in C++.
#include "models/network.h"

#include <gmock/gmock.h>

#include "models/build.h"

namespace athanor::models_test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ModelSpec residual_network() {
  Network net({1, 28, 28});
  auto x = net.relu(net.batch_norm(net.conv(net.input(), {.channels = 8, .padding = 1, .bias = false})));
  auto y = net.conv(x, {.channels = 8, .padding = 1});
  x = net.max_pool(net.relu(net.add(y, x)));
  return net.model(net.linear(net.global_avg_pool(x), {.features = 10}));
}

TEST(Network, BecomesAModelForTrainingAndEvaluation) {
  const ModelSpec model = residual_network();
  const Graph graph = training_graph(model, images(4, {1, 28, 28}, 10));
  EXPECT_THAT(parameter_names(graph), ElementsAre("conv1.weight", "batch_norm1.weight", "batch_norm1.bias",
                                                  "conv2.weight", "conv2.bias", "linear1.weight", "linear1.bias"));
  EXPECT_EQ(graph.gradients.size(), 7u);
  const Graph evaluation = evaluation_graph(model, images(9, {1, 28, 28}, 10));
  EXPECT_EQ(evaluation.value(evaluation.outputs[kEvaluationLogits]).shape, (Shape{9, 10}));
}

TEST(Network, OutlivesTheObjectThatDescribedIt) {
  Network net({1, 8, 8});
  const auto logits = net.linear(net.flatten(net.input()), {.features = 2});
  const ModelSpec model = net.model(logits);
  net.relu(logits);
  EXPECT_EQ(evaluation_graph(model, images(1, {1, 8, 8}, 2)).parameter_count(), 2 * 64 + 2);
}

TEST(Network, KnowsTheShapeOfEachLayer) {
  Network net({3, 32, 32});
  const auto x = net.conv(net.input(), {.channels = 16, .stride = 2, .padding = 1});
  EXPECT_EQ(net.shape(x), (Shape{1, 16, 16, 16}));
  EXPECT_EQ(net.shape(net.concat(x, x)), (Shape{1, 32, 16, 16}));
  EXPECT_EQ(net.shape(net.flatten(x)), (Shape{1, 16 * 16 * 16}));
}

TEST(Network, TakesAnyRegisteredLayerByName) {
  Network net({3, 32, 32});
  auto x = net.layer("shortcut_a", net.input(), {{"stride", std::int64_t{2}}, {"channels", std::int64_t{8}}});
  x = net.dropout(net.squeeze_excite(net.layer("gelu", x), 4), 0.1);
  EXPECT_EQ(net.shape(x), (Shape{1, 8, 16, 16}));
}

TEST(Network, RefusesWhatDoesNotFitAtTheLineThatAddsIt) {
  Network net({1, 28, 28});
  const auto x = net.conv(net.input(), {.channels = 4});
  EXPECT_THAT(usage_error([&] { net.add(x, net.input()); }),
              AllOf(HasSubstr("add1"), HasSubstr("[1, 4, 26, 26]"), HasSubstr("[1, 1, 28, 28]")));
  EXPECT_THAT(usage_error([&] { net.linear(x, {.features = 10}); }), HasSubstr("flatten"));
  EXPECT_THAT(usage_error([&] { net.conv(x, {}); }), HasSubstr("ConvOptions::channels is 0"));
  EXPECT_THAT(usage_error([&] { net.layer("convolution", x); }), HasSubstr("no layer 'convolution'"));
  EXPECT_THAT(usage_error([&] { net.layer("dropout", x, {{"p", 0.5}}); }), HasSubstr("no setting 'p'"));
  EXPECT_THAT(usage_error([&] { net.relu(Tensor{}); }), HasSubstr("not made by this network"));
}

}  // namespace
}  // namespace athanor::models_test
