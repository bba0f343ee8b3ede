// The named models: their published sizes, their parameters' names, and what they say to settings that do not fit.
#include <gmock/gmock.h>

#include "models/build.h"

namespace athanor::models_test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::int64_t parameters(const std::string& name, const Attributes& attributes, const Shape& image,
                        std::int64_t classes) {
  return evaluation_graph(named(name, attributes), images(1, image, classes)).parameter_count();
}

std::int64_t imagenet_parameters(const std::string& name, std::int64_t depth) {
  return parameters(name, {{"depth", depth}}, {3, 224, 224}, 1000);
}

std::int64_t cifar_parameters(const std::string& name, std::int64_t depth) {
  return parameters(name, {{"depth", depth}}, {3, 32, 32}, 10);
}

TEST(Models, CifarResNetsHaveThePublishedSizes) {
  EXPECT_EQ(cifar_parameters("cifar_resnet", 20), 269'722);
  EXPECT_EQ(cifar_parameters("cifar_resnet", 1202), 19'421'274);
}

TEST(Models, ImageNetResNetsHaveThePublishedSizes) {
  EXPECT_EQ(imagenet_parameters("resnet", 18), 11'689'512);
  EXPECT_EQ(imagenet_parameters("resnet", 34), 21'797'672);
  EXPECT_EQ(imagenet_parameters("resnet", 50), 25'557'032);
  EXPECT_EQ(imagenet_parameters("resnet", 101), 44'549'160);
  EXPECT_EQ(imagenet_parameters("resnet", 152), 60'192'808);
  EXPECT_EQ(imagenet_parameters("se_resnet", 50), 28'088'024);
}

TEST(Models, AlchemyNetAndPhilosopherStoneTakeTheirSizeFromTheImage) {
  EXPECT_EQ(parameters("alchemy_net", {}, {1, 28, 28}, 10), 32 * 9 + 32 + 32 * 13 * 13 * 10 + 10);
  EXPECT_EQ(parameters("philosopher_stone", {}, {1, 32, 32}, 10), 1024 * 512 + 512 + 512 * 10 + 10);
}

TEST(Models, SqueezeExciteOfNarrowStagesKeepsOneFeature) {
  // Per block of C channels: fc1 C → max(1, C / 16), fc2 back, both with bias.
  const std::int64_t extra = 3 * ((16 + 1 + 16 + 16) + (32 * 2 + 2 + 2 * 32 + 32) + (64 * 4 + 4 + 4 * 64 + 64));
  EXPECT_EQ(cifar_parameters("se_cifar_resnet", 20), 269'722 + extra);
}

TEST(Models, ParametersHaveReadableNames) {
  const auto alchemy = evaluation_graph(named("alchemy_net"), images(1, {1, 28, 28}, 10));
  EXPECT_THAT(parameter_names(alchemy), ElementsAre("conv1.weight", "conv1.bias", "fc.weight", "fc.bias"));

  const Attributes depth{{"depth", std::int64_t{8}}};
  const auto names = parameter_names(evaluation_graph(named("se_cifar_resnet", depth), images(1, {3, 32, 32}, 10)));
  EXPECT_THAT(names, Contains("stage2.block1.conv1.weight"));
  EXPECT_THAT(names, Contains("stage2.block1.bn2.bias"));
  EXPECT_THAT(names, Contains("stage3.block1.se.fc2.weight"));

  const auto large =
      parameter_names(evaluation_graph(named("resnet", {{"depth", std::int64_t{50}}}), images(1, {3, 64, 64}, 1000)));
  EXPECT_THAT(large, Contains("stage1.block1.downsample.conv.weight"));
  EXPECT_THAT(large, Contains("stage4.block3.bn3.weight"));
}

TEST(Models, BottlenecksHaveTheirStrideInTheThreeByThreeConvolution) {
  const Graph graph = evaluation_graph(named("resnet"), images(2, {3, 224, 224}, 1000));
  const auto shape_of = [&](const char* layer) {
    for (const Node& node : graph.nodes) {
      if (node.layer == layer) return graph.value(node.outputs[0]).shape;
    }
    return Shape{};
  };
  EXPECT_EQ(shape_of("stage2.block1.conv1"), (Shape{2, 128, 56, 56}));
  EXPECT_EQ(shape_of("stage2.block1.conv2"), (Shape{2, 128, 28, 28}));
  EXPECT_EQ(shape_of("stage2.block1.downsample.conv"), (Shape{2, 512, 28, 28}));
}

TEST(Models, ZeroInitStartsTheLastNormOfEachBlockAtZero) {
  const auto start = [](bool zero, const char* name) {
    const Graph graph = evaluation_graph(named("resnet", {{"zero_init_residual", zero}}), images(1, {3, 64, 64}, 1000));
    return graph.value(graph.find(name)).initializer.value;
  };
  EXPECT_EQ(start(true, "stage3.block2.bn3.weight"), 0);
  EXPECT_EQ(start(true, "stage3.block2.bn2.weight"), 1);
  EXPECT_EQ(start(false, "stage3.block2.bn3.weight"), 1);
}

TEST(Models, InitChoosesTheRuleOfTheConvolutions) {
  const auto kind = [](const char* init, const char* parameter) {
    const Graph graph = evaluation_graph(named("cifar_resnet", {{"init", init}}), images(1, {3, 32, 32}, 10));
    return graph.value(graph.find(parameter)).initializer;
  };
  const Initializer he = kind("he", "stage1.block1.conv1.weight");
  EXPECT_EQ(he.kind, "normal");
  EXPECT_DOUBLE_EQ(he.bound, std::sqrt(2.0 / (9 * 16)));
  EXPECT_DOUBLE_EQ(kind("torch", "stage1.block1.conv1.weight").bound, 1 / std::sqrt(9.0 * 16));
  EXPECT_DOUBLE_EQ(kind("xavier", "fc.weight").bound, std::sqrt(6.0 / (64 + 10)));
  // He's rule is for layers before a ReLU.
  EXPECT_DOUBLE_EQ(kind("he", "fc.weight").bound, 1 / std::sqrt(64.0));
}

TEST(Models, UnknownDepthsAreRefusedWithValuesThatWork) {
  EXPECT_THAT(usage_error([] { cifar_parameters("cifar_resnet", 21); }), HasSubstr("6n + 2: 20 or 26"));
  EXPECT_THAT(usage_error([] { imagenet_parameters("resnet", 42); }), HasSubstr("18, 34, 50, 101 or 152"));
}

TEST(Models, UnknownNamesAndSettingsAreRefused) {
  EXPECT_THAT(usage_error([] { parameters("cifar_resnets", {}, {3, 32, 32}, 10); }), HasSubstr("cifar_resnet,"));
  EXPECT_THAT(usage_error([] {
                parameters("cifar_resnet", {{"layers", std::int64_t{20}}}, {3, 32, 32}, 10);
              }),
              HasSubstr("no setting 'layers'"));
}

}  // namespace
}  // namespace athanor::models_test
