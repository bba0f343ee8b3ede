#include "backend/cpu/ceiling.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>

#include "backend/cpu/arena.h"
#include "backend/cpu/ceiling_candidates.h"
#include "backend/cpu/convolution_timing.h"
#include "backend/cpu/lane_pool.h"
#include "backend/cpu/onednn.h"
#include "base/error.h"
#include "graph/op.h"

namespace athanor::cpu {
namespace {

/// What a lane works on: all products read the same inputs, so that the memory stays small and near.
struct LaneMemory {
  ArenaMemory inputs, outputs, scratch;
};

/// Shards that a lane works on in one step.
int shards_of(int lane, int lanes, int shards) {
  return (shards - lane + lanes - 1) / lanes;
}

struct Found {
  CeilingProduct product;
  std::vector<Candidate> candidates;
};

/// Of the candidates in the layouts of the planner's rule, the one that the plan took by measuring.
void mark_planned(std::vector<Candidate>& candidates, const PlannedStep& step) {
  const auto by_rule =
      std::find_if(candidates.begin(), candidates.end(), [](const Candidate& c) { return c.is_planned; });
  if (by_rule == candidates.end() || step.algorithm.empty()) return;
  const std::string layouts = by_rule->layouts;
  for (Candidate& candidate : candidates) {
    candidate.is_planned = candidate.layouts == layouts && candidate.product.algorithm == step.algorithm &&
                           candidate.product.implementation == step.implementation;
  }
}

std::vector<Found> find_products(const Plan& plan) {
  std::vector<Found> found;
  std::map<std::string, std::size_t> places;
  for (const PlannedStep& step : plan.shard) {
    const Node& node = plan.graph.node(step.node);
    if (!is_product(node) || plan.graph.is_copy(node)) continue;
    const auto [place, is_new] = places.emplace(product_key(plan.graph, node, plan.shard_threads), found.size());
    if (is_new) {
      CeilingProduct product{.op = node.op->name, .layer = node.layer};
      product.shapes = fmt::format("{} x {}", plan.graph.value(node.inputs[0]).shape.text(),
                                   plan.graph.value(node.inputs[1]).shape.text());
      product.flops = node.op->flops ? node.op->flops(plan.graph, node) : 0;
      found.push_back({std::move(product), product_candidates(plan.graph, node, plan.shard_threads)});
      mark_planned(found.back().candidates, step);
      ATHANOR_CHECK(!found.back().candidates.empty(), "layer {}: oneDNN has no {}", node.layer, node.op->name);
    }
    ++found[place->second].product.nodes;
  }
  return found;
}

class CpuCeiling final : public Ceiling {
 public:
  CpuCeiling(const Plan& plan, int lanes, double trial_s) : shards_(plan.shards), pool_(lanes, plan.shard_threads) {
    std::vector<Found> found = find_products(plan);
    allocate(found);
    for (Found& each : found) choose(each, trial_s / static_cast<double>(found.size()));
  }

  double run() override;
  const std::vector<CeilingProduct>& products() const override { return products_; }
  std::size_t bytes() const override;

 private:
  void allocate(const std::vector<Found>& found);
  void choose(Found& found, double trial_s);
  double time(const std::vector<Step>& lane_steps, int repeats);

  int shards_;
  LanePool pool_;
  std::vector<LaneMemory> memory_;  // per lane
  std::vector<CeilingProduct> products_;
  std::vector<std::vector<Step>> steps_;  // per product, per lane
};

void CpuCeiling::allocate(const std::vector<Found>& found) {
  std::size_t inputs = 0, outputs = 0, scratch = 0;
  for (const Found& each : found) {
    for (const Candidate& candidate : each.candidates) {
      inputs = std::max(inputs, input_bytes(candidate.product));
      outputs = std::max(outputs, output_bytes(candidate.product));
      scratch = std::max(scratch, candidate.product.scratch_bytes);
    }
  }
  memory_.resize(static_cast<std::size_t>(pool_.lanes()));
  pool_.run([&](int lane) {
    LaneMemory& mine = memory_[static_cast<std::size_t>(lane)];
    mine = {ArenaMemory(inputs), ArenaMemory(outputs), ArenaMemory(scratch)};
    fill_with_numbers(mine.inputs);
    mine.outputs.touch();
    mine.scratch.touch();
  });
}

double CpuCeiling::time(const std::vector<Step>& lane_steps, int repeats) {
  const Clock::time_point start = Clock::now();
  pool_.run([&](int lane) {
    for (int i = 0; i < repeats; ++i) lane_steps[static_cast<std::size_t>(lane)]();
  });
  return seconds_since(start) / repeats;
}

/// The best of a few short blocks: what disturbs the machine makes a block longer, never shorter.
void CpuCeiling::choose(Found& found, double trial_s) {
  constexpr int kBlocks = 3, kMostRepeats = 1000;
  const double block_s = trial_s / kBlocks / static_cast<double>(found.candidates.size());
  double best_s = std::numeric_limits<double>::infinity(), planned_s = 0;
  std::vector<Step> best;
  for (const Candidate& candidate : found.candidates) {
    std::vector<Step> bound;
    for (const LaneMemory& lane : memory_) {
      bound.push_back(bind_to_blocks(candidate.product, lane.inputs.data(), lane.outputs.data(), lane.scratch.data()));
    }
    time(bound, 1);
    double fastest_s = time(bound, 1);
    const int repeats = static_cast<int>(std::clamp(block_s / fastest_s, 1.0, static_cast<double>(kMostRepeats)));
    for (int block = 0; block < kBlocks && fastest_s < 4 * best_s; ++block) {
      fastest_s = std::min(fastest_s, time(bound, repeats));
    }
    if (candidate.is_planned) planned_s = fastest_s;
    if (fastest_s >= best_s) continue;
    best_s = fastest_s;
    best = std::move(bound);
    found.product.implementation = candidate.product.implementation;
    found.product.layouts = candidate.layouts;
  }
  found.product.seconds = best_s;
  found.product.planned_slowdown = planned_s / best_s;
  steps_.push_back(std::move(best));
  products_.push_back(found.product);
}

double CpuCeiling::run() {
  const Clock::time_point start = Clock::now();
  pool_.run([&](int lane) {
    const int shards = shards_of(lane, pool_.lanes(), shards_);
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      const Step& step = steps_[i][static_cast<std::size_t>(lane)];
      const int times = products_[i].nodes * shards;
      const Clock::time_point begin = Clock::now();
      for (int n = 0; n < times; ++n) step();
      CeilingProduct& product = products_[i];
      if (lane == 0) product.seconds = std::min(product.seconds, seconds_since(begin) / times);
    }
  });
  return seconds_since(start);
}

std::size_t CpuCeiling::bytes() const {
  std::size_t bytes = 0;
  for (const LaneMemory& lane : memory_) bytes += lane.inputs.bytes() + lane.outputs.bytes() + lane.scratch.bytes();
  return bytes;
}

}  // namespace

std::unique_ptr<Ceiling> make_ceiling(const Plan& plan, int lanes, double trial_s) {
  return std::make_unique<CpuCeiling>(plan, lanes, trial_s);
}

}  // namespace athanor::cpu
