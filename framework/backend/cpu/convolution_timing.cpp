#include "backend/cpu/convolution_timing.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

#include "backend/cpu/onednn.h"
#include "base/random.h"

namespace athanor::cpu {
namespace {

struct Blocks {
  ArenaMemory inputs, outputs, scratch;
};

/// The candidates see one after the other the same memory.
Blocks blocks_for(std::span<const ProductCandidate> candidates) {
  std::size_t inputs = 0, outputs = 0, scratch = 0;
  for (const ProductCandidate& candidate : candidates) {
    inputs = std::max(inputs, input_bytes(candidate));
    outputs = std::max(outputs, output_bytes(candidate));
    scratch = std::max(scratch, candidate.scratch_bytes);
  }
  Blocks blocks{ArenaMemory(inputs), ArenaMemory(outputs), ArenaMemory(scratch)};
  fill_with_numbers(blocks.inputs);
  return blocks;
}

/// A team of one is timed by what it computes, which does not count when others have its core; more wait for each
/// other.
double now_s(int threads) {
  timespec time{};
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void fill_with_numbers(ArenaMemory& memory) {
  RandomStream random(0, Purpose::test, 0, 0);
  auto* words = reinterpret_cast<std::uint32_t*>(memory.data());
  for (std::size_t i = 0; i < memory.bytes() / sizeof(std::uint32_t); ++i) {
    const float value = random.uniform(-1.0f, 1.0f);
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    words[i] = (bits & 0xffff0000u) | (bits >> 16);
  }
}

Convolution cut_for_timing(const Convolution& conv) {
  constexpr std::int64_t kMostElements = std::int64_t{1} << 23;  // 32 MiB of float32
  constexpr std::int64_t kMostProducts = std::int64_t{1} << 30;  // 10 to 20 ms
  const std::int64_t batch = conv.x[0], per_image = (conv.x.elements() + conv.y.elements()) / batch;
  const std::int64_t products = conv.y.elements() / batch * conv.weight[1] * conv.weight[2] * conv.weight[3];
  Convolution cut = conv;
  cut.x[0] = cut.y[0] =
      std::clamp<std::int64_t>(std::min(kMostElements / per_image, kMostProducts / products), 1, batch);
  return cut;
}

std::vector<double> time_candidates(std::span<const ProductCandidate> candidates, int threads) {
  // What disturbs the machine makes a run longer, never shorter.
  constexpr int kLeastRounds = 3, kMostRounds = 40;
  constexpr double kBudget_s = 0.03, kHopeless = 1.5;
  const TeamSize team(threads);
  const Blocks blocks = blocks_for(candidates);
  std::vector<Step> steps;
  for (const ProductCandidate& candidate : candidates) {
    steps.push_back(bind_to_blocks(candidate, blocks.inputs.data(), blocks.outputs.data(), blocks.scratch.data()));
    steps.back()();  // makes its memory real
  }
  std::vector<double> fastest_s(candidates.size(), std::numeric_limits<double>::infinity());
  const Clock::time_point start = Clock::now();
  for (int round = 0; round < kMostRounds && (round < kLeastRounds || seconds_since(start) < kBudget_s); ++round) {
    const double best_s = *std::min_element(fastest_s.begin(), fastest_s.end());
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (round > 0 && fastest_s[i] > kHopeless * best_s) continue;
      const double begin_s = now_s(threads);
      steps[i]();
      fastest_s[i] = std::min(fastest_s[i], now_s(threads) - begin_s);
    }
  }
  return fastest_s;
}

}  // namespace athanor::cpu
