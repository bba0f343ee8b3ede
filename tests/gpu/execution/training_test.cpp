// The CUDA executor trains over emulated GPUs: the same bits eager and as a graph, on 1, 2 and 4 ranks and in every
// order in which streams may run, and the CPU's numbers up to rounding.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "gpu/support/direct_device.h"
#include "gpu/support/emulated_training.h"
#include "gpu/support/forwarding_device.h"

namespace athanor::testing {
namespace {

/// Every step's loss and the final state, bit for bit.
void expect_same_bits(const RunOutcome& got, const RunOutcome& want, const std::string& what) {
  ASSERT_EQ(got.results.size(), want.results.size()) << what;
  for (std::size_t step = 0; step < want.results.size(); ++step) {
    ASSERT_EQ(got.results[step].loss, want.results[step].loss) << what << ", step " << step + 1;
    ASSERT_EQ(got.results[step].grad_norm, want.results[step].grad_norm) << what << ", step " << step + 1;
  }
  ASSERT_EQ(got.state, want.state) << what;
}

/// ResNet-20, images of 16 × 16, batch 8 in 4 shards, 20 steps.
const RunOutcome& eager() {
  static const RunOutcome outcome = train_emulated({.cuda_graph = false})[0];
  return outcome;
}

TEST(EmulatedTraining, EqualsTheCpuUpToRounding) {
  const RunOutcome want = train_on_cpu({});
  ASSERT_EQ(eager().results.size(), want.results.size());
  for (std::size_t step = 0; step < want.results.size(); ++step) {
    // As in backend/training_parity_test.cpp: a network drifts from its own rounding.
    const double tolerance = step == 0 ? 1e-5 : 1e-2;
    EXPECT_NEAR(eager().results[step].loss, want.results[step].loss, tolerance * want.results[step].loss);
    EXPECT_TRUE(eager().results[step].finite);
  }
  EXPECT_EQ(eager().graph_launches, 0);
}

TEST(EmulatedTraining, TheFirstStepLeavesTheCpusState) {
  const RunOutcome got = train_emulated({.steps = 1})[0], want = train_on_cpu({.steps = 1});
  ASSERT_EQ(got.state.size(), want.state.size());
  for (std::size_t i = 0; i < want.state.size(); ++i) {
    ASSERT_NEAR(got.state[i], want.state[i], 1e-4 * std::abs(want.state[i]) + 2e-5) << "element " << i;
  }
}

TEST(EmulatedTraining, AGraphHasTheBitsOfTheLaunchesThatItHolds) {
  const RunOutcome graph = train_emulated({.cuda_graph = true})[0];
  EXPECT_GT(graph.graph_launches, 10u);
  expect_same_bits(graph, eager(), "graph");
}

class OnRanks : public ::testing::TestWithParam<int> {};

TEST_P(OnRanks, HasTheBitsOfOneRank) {
  const int ranks = GetParam();
  for (const bool graph : {true, false}) {
    const std::vector<RunOutcome> outcomes = train_emulated({.ranks = ranks, .cuda_graph = graph, .seed = 3});
    for (const RunOutcome& outcome : outcomes) {
      expect_same_bits(outcome, eager(), fmt::format("{} ranks, graph {}", ranks, graph));
    }
  }
}
INSTANTIATE_TEST_SUITE_P(EmulatedTraining, OnRanks, ::testing::Values(2, 4));

/// A network that is quick, for what runs many times.
EmulatedRun small_run() {
  return {.steps = 7, .depth = 8, .side = 8};
}

TEST(EmulatedTraining, EveryOrderHasTheSameBits) {
  EmulatedRun run = small_run();
  run.cuda_graph = false;
  const RunOutcome want = train_emulated(run)[0];
  run.cuda_graph = true;
  for (run.seed = 2; run.seed < 14; ++run.seed) {
    run.ranks = run.seed % 3 == 0 ? 2 : 1;
    run.group_faults.delay_seed = run.seed % 2;
    for (const RunOutcome& outcome : train_emulated(run)) {
      expect_same_bits(outcome, want, fmt::format("seed {}, {} ranks", run.seed, run.ranks));
    }
  }
}

TEST(EmulatedTraining, RanksThatShareAGpuHaveTheSameBits) {
  EmulatedRun run = small_run();
  const RunOutcome want = train_emulated(run)[0];
  run.ranks = 2;
  run.one_gpu = true;
  for (const RunOutcome& outcome : train_emulated(run)) expect_same_bits(outcome, want, "one GPU");
}

/// Remembers the convolutions that it is asked for.
class Listener : public ForwardingDevice {
 public:
  Listener(cuda::Device& device, std::vector<cuda::ConvolutionSpec>& asked) : ForwardingDevice(device), asked_(asked) {}

  std::vector<std::string> engines(const cuda::ProductSpec& spec) override {
    if (const auto* conv = std::get_if<cuda::ConvolutionSpec>(&spec)) asked_.push_back(*conv);
    return ForwardingDevice::engines(spec);
  }

 private:
  std::vector<cuda::ConvolutionSpec>& asked_;
};

TEST(EmulatedTraining, AFoldedStemTrainsAsTheUnfoldedOneOfTheCpu) {
  std::vector<cuda::ConvolutionSpec> asked;
  EmulatedRun run{.steps = 2, .model = "resnet", .depth = 18, .side = 16, .shards = 1};
  run.wrap = [&](cuda::Device& device) { return std::make_unique<Listener>(device, asked); };
  const RunOutcome got = train_emulated(run)[0], want = train_on_cpu(run);
  const auto is_folded = [](const cuda::ConvolutionSpec& spec) {
    return spec.kernel == std::array<std::int64_t, 2>{4, 4} && spec.channels == 8 && spec.height == 11;
  };
  EXPECT_GE(std::count_if(asked.begin(), asked.end(), is_folded), 2) << "forward and the weights' gradient";
  EXPECT_EQ(std::count_if(asked.begin(), asked.end(), [](const auto& spec) { return spec.kernel[0] == 7; }), 0);
  EXPECT_NEAR(got.results[0].loss, want.results[0].loss, 1e-5 * want.results[0].loss);
  EXPECT_NEAR(got.results[1].loss, want.results[1].loss, 1e-2 * want.results[1].loss);
  EXPECT_NEAR(got.results[0].grad_norm, want.results[0].grad_norm, 1e-3 * want.results[0].grad_norm);
}

TEST(EmulatedTraining, SixteenBitTypesTrain) {
  for (const char* precision : {"bf16", "fp16"}) {
    EmulatedRun run = small_run();
    run.precision = precision;
    const RunOutcome got = train_emulated(run)[0];
    run.precision = "fp32";
    const RunOutcome want = train_emulated(run)[0];
    ASSERT_EQ(got.results.size(), want.results.size());
    EXPECT_NEAR(got.results[0].loss, want.results[0].loss, 0.02 * want.results[0].loss) << precision;
    for (const StepResult& result : got.results) EXPECT_TRUE(std::isfinite(result.loss)) << precision;
  }
}

/// In 16-bit types a norm leaves a mask behind, and in fp16 has its sums from the convolution: neither is made again.
TEST(EmulatedTraining, ActivationsMadeAgainHaveTheBitsOfThoseKept) {
  for (const char* precision : {"fp32", "bf16", "fp16"}) {
    EmulatedRun run{.steps = 3, .depth = 14, .precision = precision};
    const RunOutcome want = train_emulated(run)[0];
    run.recomputed_work = 0.5;
    const RunOutcome got = train_emulated(run)[0];
    EXPECT_LT(got.lane_bytes, want.lane_bytes) << precision;
    expect_same_bits(got, want, precision);
  }
}

/// Here convolutions make the sums of batch norms.
TEST(EmulatedTraining, Float16HasTheSameBitsOnRanksAndAsAGraph) {
  EmulatedRun run{.steps = 4, .side = 8, .cuda_graph = false, .precision = "fp16"};
  const RunOutcome want = train_emulated(run)[0];
  run.cuda_graph = true;
  for (run.ranks = 1; run.ranks <= 4; run.ranks *= 2) {
    run.seed = static_cast<std::uint64_t>(run.ranks) + 5;
    for (const RunOutcome& outcome : train_emulated(run)) {
      expect_same_bits(outcome, want, fmt::format("{} ranks", run.ranks));
    }
  }
}

TEST(EmulatedTraining, OurOwnConvolutionsHaveTheSameBitsOnRanksAndAsAGraph) {
  std::atomic<int> runs = 0;
  EmulatedRun run{.steps = 2, .depth = 8, .side = 8, .cuda_graph = false, .precision = "fp16"};
  const RunOutcome reference = train_emulated(run)[0];
  run.wrap = [&](cuda::Device& device) { return std::make_unique<DirectDevice>(device, runs); };
  const RunOutcome want = train_emulated(run)[0];
  EXPECT_GT(runs, 0);
  EXPECT_NEAR(want.results[0].loss, reference.results[0].loss, 1e-3 * reference.results[0].loss);
  EXPECT_NEAR(want.results[0].grad_norm, reference.results[0].grad_norm, 1e-2 * reference.results[0].grad_norm);
  run.cuda_graph = true;
  for (run.ranks = 1; run.ranks <= 2; ++run.ranks) {
    run.seed = static_cast<std::uint64_t>(run.ranks) + 8;
    for (const RunOutcome& outcome : train_emulated(run)) {
      expect_same_bits(outcome, want, fmt::format("{} ranks", run.ranks));
    }
  }
}

}  // namespace
}  // namespace athanor::testing
