#include "graph/passes/recompute.h"

#include <algorithm>
#include <array>
#include <limits>

#include "graph/op.h"
#include "graph/passes/rematerialize.h"

namespace athanor {
namespace {

/// FLOPs of a core in the time in which it moves 4 bytes from or to memory: 250 GFLOP/s against 30 GB/s.
constexpr double kWorkOfFloat = 32;
/// Work a byte above which a value is kept. The first takes in what passes over memory alone.
constexpr std::array<double, 6> kWorkPerByte{40, 60, 120, 250, 500, 1000};
/// Links of a chain after which a value is kept.
constexpr std::array<int, 8> kLinks{1, 2, 3, 4, 6, 8, 16, std::numeric_limits<int>::max()};
/// Values below this part of the largest are not worth a step.
constexpr std::size_t kSmall = 256;

/// A value that forward makes and that may be dropped.
struct Candidate {
  ValueId value;
  std::vector<ValueId> sources;  ///< what it is made again from
  std::size_t bytes;
  double work_per_byte;
  bool is_view;
};

std::vector<Candidate> find_candidates(const LaidOutGraph& laid_out, BackendPlanner& planner) {
  const Graph& graph = laid_out.graph;
  std::vector<bool> is_fixed(graph.values.size(), false);
  for (const ValueId root : graph.roots()) is_fixed[static_cast<std::size_t>(root)] = true;
  const std::vector<bool> is_hoisted = find_hoisted(graph);
  const NodeId backward = first_of_backward(graph);
  std::vector<Candidate> candidates;
  std::size_t largest = 0;
  for (NodeId id = 0; id < backward; ++id) {
    const Node& node = graph.node(id);
    if (node.op->synchronizes || is_hoisted[static_cast<std::size_t>(id)]) continue;
    for (const ValueId output : node.outputs) {
      if (output == kNoValue || is_fixed[static_cast<std::size_t>(output)]) continue;
      const Remake again = remake(laid_out, id, output, planner);
      const std::size_t bytes = planner.bytes(graph.value(output), laid_out.layouts[static_cast<std::size_t>(output)]);
      candidates.push_back({output, again.node.inputs, bytes,
                            work_of(laid_out, again.node, planner) / static_cast<double>(bytes), node.op->is_view});
      largest = std::max(largest, bytes);
    }
  }
  std::erase_if(candidates, [&](const Candidate& candidate) { return candidate.bytes < largest / kSmall; });
  return candidates;
}

std::vector<bool> choose_dropped(const Graph& graph, const std::vector<Candidate>& candidates, double work_per_byte,
                                 int links) {
  std::vector<int> link(graph.values.size(), 0);
  std::vector<bool> dropped(graph.values.size(), false);
  for (const Candidate& candidate : candidates) {
    int behind = 0;
    for (const ValueId source : candidate.sources) {
      if (source != kNoValue) behind = std::max(behind, link[static_cast<std::size_t>(source)]);
    }
    // A view is its source's memory.
    const bool drops = candidate.is_view ? behind > 0 : candidate.work_per_byte <= work_per_byte && behind < links;
    if (!drops) continue;
    link[static_cast<std::size_t>(candidate.value)] = behind + (candidate.is_view ? 0 : 1);
    dropped[static_cast<std::size_t>(candidate.value)] = true;
  }
  return dropped;
}

/// Of the nodes that make copies, or of all others.
double total_work(const LaidOutGraph& laid_out, const BackendPlanner& planner, bool of_copies) {
  double work = 0;
  for (const Node& node : laid_out.graph.nodes) {
    if (laid_out.graph.is_copy(node) == of_copies) work += work_of(laid_out, node, planner);
  }
  return work;
}

}  // namespace

double work_of(const LaidOutGraph& laid_out, const Node& node, const BackendPlanner& planner) {
  if (node.op->is_view) return 0;
  std::size_t bytes = 0;
  for (const auto* values : {&node.inputs, &node.outputs}) {
    for (const ValueId id : *values) {
      if (id == kNoValue) continue;
      bytes += planner.bytes(laid_out.graph.value(id), laid_out.layouts[static_cast<std::size_t>(id)]);
    }
  }
  const double flops = node.op->flops ? node.op->flops(laid_out.graph, node) : 0;
  return flops + kWorkOfFloat * static_cast<double>(bytes) / sizeof(float);
}

LaidOutGraph recompute_activations(LaidOutGraph laid_out, BackendPlanner& planner, double most_work,
                                   const LaneBytes& lane_bytes) {
  const std::vector<Candidate> candidates = find_candidates(laid_out, planner);
  const double allowed = most_work * total_work(laid_out, planner, false);
  LaidOutGraph best = laid_out;
  std::size_t fewest = lane_bytes(laid_out);
  std::vector<bool> before;
  for (const double work_per_byte : kWorkPerByte) {
    for (const int links : kLinks) {
      std::vector<bool> dropped = choose_dropped(laid_out.graph, candidates, work_per_byte, links);
      if (dropped == before) continue;
      LaidOutGraph tried = rematerialize(laid_out, dropped, planner);
      before = std::move(dropped);
      if (total_work(tried, planner, true) > allowed) continue;
      const std::size_t bytes = lane_bytes(tried);
      if (bytes >= fewest) continue;
      fewest = bytes;
      best = std::move(tried);
    }
  }
  return best;
}

}  // namespace athanor
