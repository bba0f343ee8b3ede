// Activations made again in backward have the bits of those that would have been kept: weights, optimizer state and
// running statistics after some updates are equal byte by byte.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>

#include "graph/layer.h"
#include "support/training_rig.h"

namespace athanor::testing {
namespace {

/// Work enough that convolutions are made again too.
constexpr double kMuchWork = 0.5;
constexpr int kSteps = 3;

TrainingRig::Options options_for(const ModelSpec& model, int threads, double recomputed_work) {
  return {.model = model,
          .optimizer = make_optimizer("sgd", {{"lr", 0.05}, {"momentum", 0.9}}),
          .batch = 8,
          .shards = 2,
          .lanes = 2,
          .threads = threads,
          .recomputed_work = recomputed_work};
}

std::map<std::string, int> copies_by_op(const Plan& plan) {
  std::map<std::string, int> copies;
  for (const Node& node : plan.graph.nodes) {
    if (plan.graph.is_copy(node)) ++copies[node.op->name];
  }
  return copies;
}

/// Returns what was made again.
std::map<std::string, int> expect_same_bits(const ModelSpec& model, int threads = 1) {
  TrainingRig kept(options_for(model, threads, 0)), again(options_for(model, threads, kMuchWork));
  EXPECT_LT(again.plan().lane_bytes, kept.plan().lane_bytes);
  for (int step = 1; step <= kSteps; ++step) {
    const double wanted = kept.train(step).loss, loss = again.train(step).loss;
    EXPECT_EQ(std::memcmp(&wanted, &loss, sizeof loss), 0) << "step " << step << ": " << loss << " and " << wanted;
  }
  const std::vector<float> wanted = kept.state(), state = again.state();
  EXPECT_EQ(wanted.size(), state.size());
  EXPECT_EQ(std::memcmp(wanted.data(), state.data(), wanted.size() * sizeof(float)), 0);
  return copies_by_op(again.plan());
}

ModelSpec residual(const char* name) {
  ModelSpec model;
  model.name = name;
  model.attributes = {{"depth", std::int64_t{14}}};
  return model;
}

using Layers = std::vector<std::pair<std::string, Attributes>>;

/// Layers one after another, then a mean and 10 logits.
ModelSpec chain(const Layers& layers) {
  ModelSpec model;
  model.build = [layers](Builder& builder, ValueId x) {
    int number = 0;
    for (const auto& [kind, attributes] : layers) {
      x = build_layer(builder, x, kind, attributes, kind + std::to_string(++number));
    }
    x = build_layer(builder, x, "global_avg_pool", {}, "pool");
    return build_layer(builder, x, "linear", {{"features", std::int64_t{10}}}, "fc");
  };
  return model;
}

std::pair<std::string, Attributes> conv(std::int64_t channels) {
  return {"conv", {{"channels", channels}, {"padding", std::vector<std::int64_t>{1}}}};
}

TEST(Recompute, AResidualNetworkTrainsTheSameWeights) {
  const auto copies = expect_same_bits(residual("cifar_resnet"));
  EXPECT_GT(copies.at("batch_norm_apply"), 0);
  EXPECT_GT(copies.at("conv2d"), 0);
}

TEST(Recompute, TeamsOfTwoThreadsTrainTheSameWeights) {
  expect_same_bits(residual("cifar_resnet"), 2);
}

TEST(Recompute, SqueezeAndExcitationTrainsTheSameWeights) {
  const auto copies = expect_same_bits(residual("se_cifar_resnet"));
  EXPECT_GT(copies.at("scale"), 0);
}

TEST(Recompute, DropoutDrawsTheSameMaskAgain) {
  const auto copies = expect_same_bits(chain({conv(16),
                                              {"batch_norm", {}},
                                              {"relu", {}},
                                              {"dropout", {{"rate", 0.25}}},
                                              conv(16),
                                              {"silu", {}},
                                              {"stochastic_depth", {{"rate", 0.25}}},
                                              conv(16),
                                              {"relu", {}}}));
  EXPECT_GT(copies.at("dropout"), 0);
}

TEST(Recompute, PoolingChoosesTheSamePlacesAgain) {
  expect_same_bits(chain({conv(16),
                          {"batch_norm", {}},
                          {"relu", {}},
                          {"max_pool", {{"kernel", std::vector<std::int64_t>{2}}}},
                          conv(32),
                          {"group_norm", {{"groups", std::int64_t{4}}}},
                          {"gelu", {}},
                          conv(32),
                          {"relu", {}}}));
}

TEST(Recompute, SynchronizedNormsTrainTheSameWeights) {
  const auto copies = expect_same_bits(chain({conv(16),
                                              {"batch_norm", {{"synchronized", true}}},
                                              {"relu", {}},
                                              conv(16),
                                              {"batch_norm", {{"synchronized", true}}},
                                              {"relu", {}},
                                              conv(16),
                                              {"relu", {}}}));
  EXPECT_EQ(copies.count("gather_shards"), 0u);
  EXPECT_GT(copies.at("batch_norm_apply"), 0);
}

}  // namespace
}  // namespace athanor::testing
