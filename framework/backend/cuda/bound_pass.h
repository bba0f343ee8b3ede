// A plan bound to a GPU's memory: flat lists of steps that enqueue their work.
#pragma once

#include <functional>
#include <vector>

#include "backend/cuda/op.h"
#include "graph/plan.h"

namespace athanor::cuda {

/// What binding needs beside the plan.
struct BindContext {
  Device& device;
  EngineChoice& engines;
  Precision precision;
  std::uint64_t seed = 0;
  const float* loss_scale = nullptr;  ///< in device memory; nullptr: 1
};

/// A node with its pointers bound.
struct BoundStep {
  Step run;
  NodeId node = -1;
  std::int32_t planned = 0;  ///< its place in Plan::shard
};

/// Where the graph's inputs lie for one shard.
using InputAddress = std::function<void*(ValueId)>;

/// Once a step: what depends on parameters alone.
std::vector<BoundStep> bind_prologue(const Plan& plan, const Arenas& arenas, const BindContext& context);
/// One shard's pass.
std::vector<BoundStep> bind_shard(const Plan& plan, const Arenas& arenas, const InputAddress& inputs,
                                  const BindContext& context);

}  // namespace athanor::cuda
