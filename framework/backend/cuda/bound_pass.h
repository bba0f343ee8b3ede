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

/// Bytes [begin, end) of device memory.
struct MemoryRange {
  const std::byte* begin = nullptr;
  const std::byte* end = nullptr;
  bool meets(const MemoryRange& other) const { return begin < other.end && other.begin < end; }
};

/// A node with its pointers bound.
struct BoundStep {
  Step run;
  NodeId node = -1;
  std::int32_t planned = 0;  ///< its place in Plan::shard
  std::vector<MemoryRange> reads = {};
  std::vector<MemoryRange> writes = {};  ///< scratch included
  bool beside = false;                   ///< runs on the stream `beside`, after all steps before it
  std::int32_t awaits = -1;              ///< a step before it, beside, that must be done; −1: none
};

/// Sends the steps that the plan lets run beside others to their stream, and sees to it that a step waits for those
/// whose memory it touches.
void order_beside(std::vector<BoundStep>& steps, const Plan& plan);

/// Where the graph's inputs lie for one shard.
using InputAddress = std::function<void*(ValueId)>;

/// Once a step: what depends on parameters alone.
std::vector<BoundStep> bind_prologue(const Plan& plan, const Arenas& arenas, const BindContext& context);
/// One shard's pass.
std::vector<BoundStep> bind_shard(const Plan& plan, const Arenas& arenas, const InputAddress& inputs,
                                  const BindContext& context);

}  // namespace athanor::cuda
