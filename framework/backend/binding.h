// What an op sees on any back end: when the plan is made, and when its step is bound to memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "graph/graph.h"
#include "graph/plan.h"
#include "graph/planner.h"

namespace athanor {

/// What an op sees when the plan is made. `inputs`: the layouts that its inputs have now; empty: free to choose.
struct ChooseContext {
  const Graph& graph;
  const Node& node;
  std::span<const Layout> inputs;
  int threads = 1;

  bool has_input(std::size_t i) const { return i < node.inputs.size() && node.inputs[i] != kNoValue; }
  const Value& input(std::size_t i) const { return graph.value(node.inputs[i]); }
  bool has_output(std::size_t i) const { return i < node.outputs.size() && node.outputs[i] != kNoValue; }
  const Value& output(std::size_t i) const { return graph.value(node.outputs[i]); }
};

/// What an op sees when its step is made: memory that stays where it is. Absent values are nullptr.
struct Binding {
  const Graph& graph;
  const Node& node;
  std::span<void* const> inputs;
  std::span<void* const> outputs;
  std::span<const Layout> input_layouts;
  std::span<const Layout> output_layouts;
  void* scratch;
  int threads;
  std::uint64_t seed;                    ///< train.seed, for ops that draw random numbers
  std::string_view implementation = "";  ///< what the plan says that this step is
  std::string_view algorithm = "";       ///< and how it forms its sums

  bool has_input(std::size_t i) const { return i < inputs.size() && inputs[i] != nullptr; }
  const Value& input_value(std::size_t i) const { return graph.value(node.inputs[i]); }
  bool has_output(std::size_t i) const { return i < outputs.size() && outputs[i] != nullptr; }
  const Value& output_value(std::size_t i) const { return graph.value(node.outputs[i]); }
  template <typename T>
  T* input(std::size_t i) const {
    return i < inputs.size() ? static_cast<T*>(inputs[i]) : nullptr;
  }
  template <typename T>
  T* output(std::size_t i) const {
    return i < outputs.size() ? static_cast<T*>(outputs[i]) : nullptr;
  }
};

/// The blocks that a plan's buffers lie in, for one shard that is under way.
struct Arenas {
  std::byte* state = nullptr;
  std::byte* outputs = nullptr;
  std::byte* shared = nullptr;
  std::byte* lane = nullptr;
};

/// Where a value lies, or nullptr for an absent or dropped one.
void* address_of(const Plan& plan, const Arenas& arenas, ValueId value);

/// All inputs and outputs in plain layout, run by `implementation`.
NodeChoice choose_plain(const ChooseContext& context, std::string implementation);

/// The layout of input `index`, for every input and output of the same rank as that input; plain for the others.
/// Backward ops follow what the forward pass saved: the incoming gradient is reordered, if any, and gradients keep one
/// layout.
NodeChoice choose_like_input(const ChooseContext& context, std::size_t index, std::string implementation);

}  // namespace athanor
