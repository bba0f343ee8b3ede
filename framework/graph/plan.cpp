#include "graph/plan.h"

#include <xxhash.h>

#include <algorithm>
#include <numeric>

#include "graph/op.h"
#include "graph/passes/layout.h"
#include "graph/passes/liveness.h"
#include "graph/passes/recompute.h"

namespace athanor {
namespace {

/// Each tensor of the flat float32 arenas starts on a cache line.
constexpr std::size_t kSlotElements = 16;

class Planning {
 public:
  Planning(LaidOutGraph laid_out, const BackendPlanner& planner, int shards, int shard_threads, const Plan* state_of)
      : planner_(planner), state_of_(state_of) {
    plan_.graph = std::move(laid_out.graph);
    plan_.shards = shards;
    plan_.shard_threads = shard_threads;
    choices_ = std::move(laid_out.choices);
    plan_.buffers.resize(plan_.graph.values.size());
    for (std::size_t id = 0; id < plan_.buffers.size(); ++id) plan_.buffers[id].layout = laid_out.layouts[id];
  }

  Plan run() {
    split_into_sections();
    place_state();
    place_outputs();
    place_shared();
    place_lane();
    return std::move(plan_);
  }

 private:
  std::size_t bytes_of(ValueId id) { return planner_.bytes(plan_.graph.value(id), buffer(id).layout); }
  Buffer& buffer(ValueId id) { return plan_.buffers[static_cast<std::size_t>(id)]; }
  const Node& node_of(const PlannedStep& step) const { return plan_.graph.node(step.node); }

  /// What reads parameters and constants alone runs once per step, for all shards. While evaluating, running statistics
  /// stand still too.
  void split_into_sections() {
    std::vector<bool> is_shared(plan_.graph.values.size(), false);
    for (std::size_t id = 0; id < is_shared.size(); ++id) {
      const Role role = plan_.graph.values[id].role;
      is_shared[id] =
          role == Role::parameter || role == Role::constant || (role == Role::statistic && !plan_.is_training());
    }
    for (std::size_t id = 0; id < plan_.graph.nodes.size(); ++id) {
      const Node& node = plan_.graph.nodes[id];
      const bool hoisted = std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
        return input == kNoValue || is_shared[static_cast<std::size_t>(input)];
      });
      for (const ValueId output : node.outputs) {
        if (hoisted && output != kNoValue) is_shared[static_cast<std::size_t>(output)] = true;
      }
      (hoisted ? plan_.prologue : plan_.shard)
          .push_back({static_cast<NodeId>(id), choices_[id].implementation, 0, choices_[id].scratch_bytes,
                      choices_[id].algorithm, choices_[id].beside});
    }
  }

  /// Follows a weight, through a cast or a reorder, to the convolution that reads it.
  std::int64_t groups_of(ValueId weight) const {
    if (plan_.graph.value(weight).shape.rank() != 4) return 1;
    for (const Node& node : plan_.graph.nodes) {
      const bool reads = std::find(node.inputs.begin(), node.inputs.end(), weight) != node.inputs.end();
      if (!reads) continue;
      if (node.op->name == "cast" || node.op->name == "reorder") return groups_of(node.outputs[0]);
      if (const AttributeValue* groups = node.attributes.find("groups")) return std::get<std::int64_t>(*groups);
    }
    return 1;
  }

  void add_slot(ValueId value, bool is_statistic, double momentum) {
    const auto elements = static_cast<std::size_t>(plan_.graph.value(value).shape.elements());
    plan_.state.push_back({plan_.graph.value(value).name, value, plan_.state_elements, elements, is_statistic, momentum,
                           groups_of(value)});
    plan_.state_elements += align_up(elements, kSlotElements);
  }

  void place_state() {
    if (state_of_ != nullptr) {
      adopt_state();
      return;
    }
    for (const ParameterGradient& pair : plan_.graph.gradients) add_slot(pair.parameter, false, 0);
    for (const ValueId parameter : plan_.graph.of_role(Role::parameter)) {
      const auto has_gradient = [&](const ParameterGradient& pair) { return pair.parameter == parameter; };
      if (std::none_of(plan_.graph.gradients.begin(), plan_.graph.gradients.end(), has_gradient)) {
        add_slot(parameter, false, 0);
      }
    }
    plan_.parameter_elements = plan_.state_elements;
    for (const StatisticUpdate& update : plan_.graph.statistics) add_slot(update.statistic, true, update.momentum);
    for (const ValueId statistic : plan_.graph.of_role(Role::statistic)) {
      const auto is_updated = [&](const StatisticUpdate& update) { return update.statistic == statistic; };
      if (std::none_of(plan_.graph.statistics.begin(), plan_.graph.statistics.end(), is_updated)) {
        add_slot(statistic, true, 0);
      }
    }
    bind_state();
  }

  /// The same names at the same places as in the plan whose state this one shares.
  void adopt_state() {
    plan_.parameter_elements = state_of_->parameter_elements;
    plan_.state_elements = state_of_->state_elements;
    for (StateTensor slot : state_of_->state) {
      const ValueId value = plan_.graph.find(slot.name);
      if (value == kNoValue) continue;
      slot.value = value;
      plan_.state.push_back(std::move(slot));
    }
    bind_state();
  }

  void bind_state() {
    for (const StateTensor& slot : plan_.state) {
      Buffer& place = buffer(slot.value);
      place.arena = Arena::state;
      place.offset = slot.offset * sizeof(float);
      place.bytes = slot.elements * sizeof(float);
    }
  }

  void place_output(ValueId value, std::size_t offset) {
    Buffer& place = buffer(value);
    ATHANOR_CHECK(place.arena == Arena::none, "value {} is handed to the tree twice", plan_.graph.value(value).name);
    ATHANOR_CHECK(plan_.graph.value(value).dtype == DType::f32);
    place.arena = Arena::outputs;
    place.offset = offset * sizeof(float);
    place.bytes = bytes_of(value);
  }

  void place_outputs() {
    plan_.output_elements = plan_.is_training() ? plan_.state_elements : 0;
    for (const StateTensor& slot : plan_.state) {
      for (const ParameterGradient& pair : plan_.graph.gradients) {
        if (pair.parameter == slot.value && !slot.is_statistic) place_output(pair.gradient, slot.offset);
      }
      for (const StatisticUpdate& update : plan_.graph.statistics) {
        if (update.statistic == slot.value && slot.is_statistic) place_output(update.contribution, slot.offset);
      }
    }
    for (const Metric& metric : plan_.graph.metrics) {
      const auto elements = static_cast<std::size_t>(plan_.graph.value(metric.value).shape.elements());
      place_output(metric.value, plan_.output_elements);
      plan_.metrics.push_back({metric.name, plan_.output_elements, elements});
      plan_.output_elements += align_up(elements, kSlotElements);
    }
  }

  /// Nothing of the shared arena is reused inside a step.
  void place_shared() {
    const auto place = [&](ValueId id) {
      Buffer& found = buffer(id);
      if (found.arena != Arena::none) return;
      found.arena = Arena::shared;
      found.offset = plan_.shared_bytes;
      found.bytes = bytes_of(id);
      plan_.shared_bytes += align_up(found.bytes);
    };
    for (const ValueId constant : plan_.graph.of_role(Role::constant)) place(constant);
    for (PlannedStep& step : plan_.prologue) {
      for (const ValueId output : node_of(step).outputs) {
        if (output != kNoValue) place(output);
      }
      step.scratch_offset = plan_.shared_bytes;
      plan_.shared_bytes += align_up(step.scratch_bytes);
    }
  }

  void place_lane() {
    find_lifetimes();
    share_in_place();
    pack_lifetimes();
  }

  /// Bytes of the lane arena that one or more values share.
  std::int32_t block_of(ValueId id) const { return blocks_[static_cast<std::size_t>(id)]; }

  void find_lifetimes() {
    blocks_.assign(plan_.graph.values.size(), -1);
    const auto last = static_cast<std::int32_t>(plan_.shard.size());
    for (const ValueId input : plan_.graph.of_role(Role::input)) open_block(input, 0);
    for (std::int32_t at = 0; at < last; ++at) {
      const Node& node = node_of(plan_.shard[static_cast<std::size_t>(at)]);
      for (const ValueId input : node.inputs) {
        if (input == kNoValue || block_of(input) < 0) continue;
        std::int32_t& end = lifetimes_[static_cast<std::size_t>(block_of(input))].last;
        end = std::max(end, last_touch(at));
      }
      if (node.op->is_view) {
        ATHANOR_CHECK(block_of(node.inputs[0]) >= 0 && buffer(node.outputs[0]).arena == Arena::none,
                      "layer {}: a view must lie between two activations of a shard", node.layer);
        blocks_[static_cast<std::size_t>(node.outputs[0])] = block_of(node.inputs[0]);
        continue;
      }
      for (const ValueId output : node.outputs) {
        if (output != kNoValue && buffer(output).arena == Arena::none) open_block(output, at);
      }
    }
    for (const ValueId root : plan_.graph.roots()) {
      if (block_of(root) >= 0) lifetimes_[static_cast<std::size_t>(block_of(root))].last = last;
    }
  }

  /// The last step for which memory that step `at` touches must keep what it holds.
  std::int32_t last_touch(std::int32_t at) const {
    const auto last = static_cast<std::int32_t>(plan_.shard.size());
    return plan_.shard[static_cast<std::size_t>(at)].beside ? std::min(at + kBesideSteps, last) : at;
  }

  void open_block(ValueId value, std::int32_t at) {
    blocks_[static_cast<std::size_t>(value)] = static_cast<std::int32_t>(lifetimes_.size());
    lifetimes_.push_back({at, at, bytes_of(value)});
  }

  /// Joins an output to the input that dies at its node, where the op allows it and both have one size and layout.
  void share_in_place() {
    for (std::int32_t at = 0; at < static_cast<std::int32_t>(plan_.shard.size()); ++at) {
      const Node& node = node_of(plan_.shard[static_cast<std::size_t>(at)]);
      for (const auto& [in, out] : node.op->in_place) {
        if (static_cast<std::size_t>(in) >= node.inputs.size() || static_cast<std::size_t>(out) >= node.outputs.size())
          continue;
        const ValueId input = node.inputs[static_cast<std::size_t>(in)],
                      output = node.outputs[static_cast<std::size_t>(out)];
        if (input == kNoValue || block_of(input) < 0 || block_of(output) < 0) continue;
        if (buffer(input).layout != buffer(output).layout || block_of(input) == block_of(output)) continue;
        Lifetime& source = lifetimes_[static_cast<std::size_t>(block_of(input))];
        Lifetime& target = lifetimes_[static_cast<std::size_t>(block_of(output))];
        const bool read_twice = std::count_if(node.inputs.begin(), node.inputs.end(), [&](ValueId other) {
                                  return other != kNoValue && block_of(other) == block_of(input);
                                }) > 1;
        if (source.last != at || source.bytes != target.bytes || target.first != at || read_twice) continue;
        source.last = target.last;
        target.bytes = 0;
        const std::int32_t joined = block_of(output), into = block_of(input);
        for (std::int32_t& block : blocks_) {
          if (block == joined) block = into;
        }
        break;
      }
    }
  }

  void pack_lifetimes() {
    for (std::int32_t at = 0; at < static_cast<std::int32_t>(plan_.shard.size()); ++at) {
      lifetimes_.push_back({at, last_touch(at), plan_.shard[static_cast<std::size_t>(at)].scratch_bytes});
    }
    const Packing packing = pack(lifetimes_);
    for (std::size_t id = 0; id < blocks_.size(); ++id) {
      if (blocks_[id] < 0) continue;
      Buffer& place = plan_.buffers[id];
      place.arena = Arena::lane;
      place.offset = packing.offsets[static_cast<std::size_t>(blocks_[id])];
      place.bytes = bytes_of(static_cast<ValueId>(id));
    }
    const std::size_t first_scratch = lifetimes_.size() - plan_.shard.size();
    for (std::size_t at = 0; at < plan_.shard.size(); ++at) {
      plan_.shard[at].scratch_offset = packing.offsets[first_scratch + at];
    }
    plan_.lane_bytes = packing.bytes;
  }

  Plan plan_;
  std::vector<NodeChoice> choices_;
  std::vector<std::int32_t> blocks_;  // per value: index into lifetimes_, −1 for values outside the lane arena
  std::vector<Lifetime> lifetimes_;
  const BackendPlanner& planner_;
  const Plan* state_of_;
};

/// As if there were one bucket: where it ends changes no element's arithmetic, and block sums are never cut.
std::vector<OptimizeSegment> joined_segments(const std::vector<OptimizeStep>& steps) {
  std::vector<OptimizeSegment> joined;
  for (const OptimizeStep& step : steps) {
    for (const OptimizeSegment& segment : step.segments) {
      if (!joined.empty() && joined.back().range.end == segment.range.begin) {
        OptimizeSegment longer = segment;
        longer.range = joined.back().range;
        if (longer == joined.back()) {
          joined.back().range.end = segment.range.end;
          continue;
        }
      }
      joined.push_back(segment);
    }
  }
  return joined;
}

}  // namespace

bool Plan::has_meetings() const {
  return std::any_of(shard.begin(), shard.end(),
                     [&](const PlannedStep& step) { return graph.node(step.node).op->synchronizes; });
}

std::map<std::string, Layout> Plan::parameter_layouts() const {
  std::map<std::string, Layout> layouts;
  for (const StateTensor& slot : state) {
    layouts[slot.name] = buffers[static_cast<std::size_t>(slot.value)].layout;
  }
  return layouts;
}

std::string Plan::fingerprint() const {
  std::string text = fmt::format("shards {} threads {}\n", shards, shard_threads);
  for (const auto* section : {&prologue, &shard}) {
    for (const PlannedStep& step : *section) {
      const Node& node = graph.node(step.node);
      // What is made again has the bits of what it replaces.
      if (graph.is_copy(node)) continue;
      text += fmt::format("{} {} {} {}", node.op->name, node.layer, step.algorithm, step.implementation);
      for (const auto& [key, value] : node.attributes.entries()) text += fmt::format(" {}={}", key, to_text(value));
      for (const ValueId input : node.inputs) text += fmt::format(" {}", graph.original_of(input));
      for (const ValueId output : node.outputs) {
        if (output == kNoValue) continue;
        const Value& value = graph.value(output);
        text += fmt::format(" {}{}{}", value.shape.text(), name_of(value.dtype),
                            buffers[static_cast<std::size_t>(output)].layout);
      }
      text += '\n';
    }
  }
  for (const StateTensor& slot : state) {
    text += fmt::format("{} {} {} {} {} {}\n", slot.name, slot.offset, slot.elements, slot.momentum, slot.groups,
                        buffers[static_cast<std::size_t>(slot.value)].layout);
  }
  for (const OptimizeSegment& segment : joined_segments(optimize)) {
    text += fmt::format("optimize {} {} {} {} {}\n", segment.range.begin, segment.range.end, segment.lr_scale,
                        segment.l2_decay, segment.decoupled_decay);
  }
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

Plan make_plan(Graph graph, BackendPlanner& planner, int shards, int shard_threads, const Plan* state_of,
               double recomputed_work) {
  const std::map<std::string, Layout> fixed =
      state_of == nullptr ? std::map<std::string, Layout>{} : state_of->parameter_layouts();
  LaidOutGraph laid_out = propagate_layouts(planner.rewrite(std::move(graph)), planner, fixed);
  const auto plan = [&](LaidOutGraph chosen) {
    return Planning(std::move(chosen), planner, shards, shard_threads, state_of).run();
  };
  if (recomputed_work > 0) {
    const auto lane_bytes = [&](const LaidOutGraph& tried) { return plan(tried).lane_bytes; };
    laid_out = recompute_activations(std::move(laid_out), planner, recomputed_work, lane_bytes);
  }
  return plan(std::move(laid_out));
}

}  // namespace athanor
