// Whole graphs: what goes in, what comes out, in which types.
#include <gmock/gmock.h>

#include <algorithm>

#include "kernels/sample_transform.h"
#include "models/build.h"

namespace athanor::models_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::int64_t count(const Graph& graph, const std::string& op) {
  return std::count_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return node.op->name == op; });
}

TEST(TrainingGraph, HasTheInputsOfABatch) {
  const Graph graph = training_graph(named("alchemy_net"), images(4, {1, 28, 28}, 10));
  const auto input = [&](const char* name) { return graph.value(graph.find(name)); };
  EXPECT_EQ(input("images").shape, (Shape{4, 1, 28, 28}));
  EXPECT_EQ(input("images").dtype, DType::u8);
  EXPECT_EQ(input("transforms").shape, (Shape{4, sizeof(kernels::SampleTransform)}));
  EXPECT_EQ(input("labels").dtype, DType::i32);
  EXPECT_EQ(input("sample_indices").shape, (Shape{4}));
  EXPECT_EQ(input("epoch").dtype, DType::i64);
}

TEST(TrainingGraph, ReportsLossAndCorrect) {
  const Graph graph = training_graph(named("alchemy_net"), images(4, {1, 28, 28}, 10));
  ASSERT_EQ(graph.metrics.size(), 2u);
  EXPECT_EQ(graph.metrics[0].name, "loss");
  EXPECT_EQ(graph.metrics[0].value, graph.loss);
  EXPECT_EQ(graph.value(graph.metrics[0].value).shape, (Shape{1}));
  EXPECT_EQ(graph.metrics[1].name, "correct");
  EXPECT_EQ(graph.value(graph.metrics[1].value).shape, (Shape{2}));
}

TEST(TrainingGraph, SeedsTheGradientWithTheLossScale) {
  GraphOptions options = images(4, {1, 28, 28}, 10);
  options.shards = 8;
  const Graph graph = training_graph(named("alchemy_net"), options);
  EXPECT_EQ(graph.value(graph.find("loss_scale")).constant, std::vector<float>{0.125f});
}

TEST(TrainingGraph, UpdatesEveryRunningStatisticOnce) {
  const Graph graph = training_graph(named("cifar_resnet"), images(4, {3, 32, 32}, 10));
  EXPECT_EQ(graph.statistics.size(), 2u * 19);
  EXPECT_EQ(graph.of_role(Role::statistic).size(), 2u * 19);
}

/// The type of activations, however few bits it has, is not that of parameters, their gradients and the loss.
TEST(TrainingGraph, HalfTypesKeepParametersGradientsAndLossInFloat32) {
  for (const DType type : {DType::bf16, DType::f16}) {
    GraphOptions options = images(4, {3, 32, 32}, 10);
    options.compute_dtype = type;
    const Graph graph = training_graph(named("cifar_resnet"), options);
    for (const ParameterGradient& pair : graph.gradients) {
      EXPECT_EQ(graph.value(pair.parameter).dtype, DType::f32);
      EXPECT_EQ(graph.value(pair.gradient).dtype, DType::f32) << graph.value(pair.parameter).name;
    }
    for (const Node& node : graph.nodes) {
      if (node.op->name == "conv2d") {
        EXPECT_EQ(graph.value(node.outputs[0]).dtype, type);
      }
      if (node.op->name == "cross_entropy") {
        EXPECT_EQ(graph.value(node.inputs[0]).dtype, DType::f32);
      }
    }
  }
}

TEST(TrainingGraph, EveryLossBuildsAndDifferentiates) {
  for (const char* loss : {"cross_entropy", "mse", "bce_with_logits"}) {
    GraphOptions options = images(4, {1, 28, 28}, 10);
    options.loss.name = loss;
    EXPECT_EQ(training_graph(named("alchemy_net"), options).gradients.size(), 4u) << loss;
  }
}

TEST(TrainingGraph, ClassWeightsAreAConstantOfOneNumberPerClass) {
  GraphOptions options = images(4, {1, 28, 28}, 3);
  const ModelSpec model = named("alchemy_net", {{"classes", std::int64_t{3}}});
  options.loss.attributes = {{"class_weights", std::vector<double>{1, 2, 0.5}}};
  const Graph graph = training_graph(model, options);
  EXPECT_EQ(graph.value(graph.find("loss.class_weights")).constant, (std::vector<float>{1, 2, 0.5f}));
  options.loss.attributes = {{"class_weights", std::vector<double>{1, 2}}};
  EXPECT_THAT(usage_error([&] { training_graph(model, options); }),
              AllOf(HasSubstr("class_weights"), HasSubstr("2 values"), HasSubstr("3 classes")));
  options.loss.name = "hinge";
  EXPECT_THAT(usage_error([&] { training_graph(model, options); }), HasSubstr("cross_entropy, mse"));
}

TEST(TrainingGraph, OneMeanStandsForAllChannels) {
  GraphOptions options = images(4, {3, 32, 32}, 10);
  options.mean = {0.4};
  const Graph graph = training_graph(named("cifar_resnet"), options);
  EXPECT_EQ(graph.nodes[0].attributes.get<std::vector<double>>("mean"), (std::vector<double>{0.4, 0.4, 0.4}));
}

TEST(TrainingGraph, WrongNormalisationNamesBothCounts) {
  GraphOptions options = images(4, {3, 32, 32}, 10);
  options.mean = {0.5, 0.5};
  EXPECT_THAT(usage_error([&] { training_graph(named("cifar_resnet"), options); }),
              AllOf(HasSubstr("data.normalize.mean has 2"), HasSubstr("3 channels")));
}

TEST(EvaluationGraph, GivesLossRankAndLogitsOfEachSample) {
  const Graph graph = evaluation_graph(named("cifar_resnet"), images(4, {3, 32, 32}, 10));
  ASSERT_EQ(graph.outputs.size(), 3u);
  EXPECT_EQ(graph.value(graph.outputs[kEvaluationLosses]).shape, (Shape{4}));
  EXPECT_EQ(graph.value(graph.outputs[kEvaluationRanks]).dtype, DType::i32);
  EXPECT_EQ(graph.value(graph.outputs[kEvaluationLogits]).shape, (Shape{4, 10}));
}

TEST(EvaluationGraph, NeitherTrainsNorDrops) {
  const ModelSpec model = listed("- conv: 4\n- batch_norm\n- dropout: 0.5\n- flatten\n- linear: 10\n");
  const Graph graph = evaluation_graph(model, images(4, {1, 28, 28}, 10));
  EXPECT_TRUE(graph.gradients.empty());
  EXPECT_TRUE(graph.statistics.empty());
  EXPECT_EQ(count(graph, "dropout"), 0);
  EXPECT_EQ(count(graph, "batch_norm"), 0);
  EXPECT_EQ(count(graph, "batch_norm_inference"), 1);
  EXPECT_EQ(count(training_graph(model, images(4, {1, 28, 28}, 10)), "dropout"), 2);
}

TEST(EvaluationGraph, HasTheParametersOfTheTrainingGraph) {
  const ModelSpec model = named("se_resnet", {{"depth", std::int64_t{18}}, {"classes", std::int64_t{10}}});
  const GraphOptions options = images(2, {3, 64, 64}, 10);
  EXPECT_EQ(parameter_names(evaluation_graph(model, options)), parameter_names(training_graph(model, options)));
}

}  // namespace
}  // namespace athanor::models_test
