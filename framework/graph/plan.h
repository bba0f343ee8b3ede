// The whole training step, decided before it runs: which node runs when, where every value lies, which layouts and
// implementations are used, how gradients are bucketed and who updates what. Plain data: a back end turns it into an
// Executable, `athanor plan` prints it, a checkpoint keeps its choices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/planner.h"
#include "graph/update_plan.h"

namespace athanor {

/// Which block of memory a value lives in.
enum class Arena : std::uint8_t {
  none,     ///< dropped by a pass
  lane,     ///< activations, inputs and scratch of one shard; one arena for each shard that runs side by side
  outputs,  ///< float32: what a shard hands to the tree: gradients, statistic contributions, metrics
  state,    ///< float32: parameters, then running statistics, at the same offsets as in `outputs`
  shared    ///< constants, and what the prologue makes of the parameters (casts, reordered weights)
};

struct Buffer {
  Arena arena = Arena::none;
  std::size_t offset = 0;  ///< bytes from the start of the arena
  std::size_t bytes = 0;
  Layout layout = kPlain;
};

/// Steps behind one that may run beside them for which its inputs and scratch keep their memory.
inline constexpr std::int32_t kBesideSteps = 6;

/// A node with what it needs to run.
struct PlannedStep {
  NodeId node = -1;
  std::string implementation;
  std::size_t scratch_offset = 0;  ///< in the lane arena (shared arena for prologue steps)
  std::size_t scratch_bytes = 0;
  std::string algorithm = "";  ///< NodeChoice::algorithm
  bool beside = false;         ///< NodeChoice::beside: what it touches stays untouched for kBesideSteps steps
};

/// A tensor of the state arena. Offsets and counts are in elements.
struct StateTensor {
  std::string name;
  ValueId value = kNoValue;
  std::size_t offset = 0;
  std::size_t elements = 0;
  bool is_statistic = false;
  double momentum = 0;      ///< of a running statistic
  std::int64_t groups = 1;  ///< of the convolution whose weights these are: layouts see [g, O/g, I/g, KH, KW]
};

struct MetricSlot {
  std::string name;
  std::size_t offset = 0;  ///< elements in the outputs arena
  std::size_t elements = 0;
};

struct Plan {
  Graph graph;
  std::vector<Buffer> buffers;        ///< per value of the graph
  std::vector<PlannedStep> prologue;  ///< once per step: depends on parameters only
  std::vector<PlannedStep> shard;     ///< once per shard
  std::vector<StateTensor> state;     ///< parameters in the order backward finishes them, then statistics
  std::vector<MetricSlot> metrics;
  std::vector<ReduceStep> reduce;      ///< covers the outputs arena; none: evaluation
  std::vector<OptimizeStep> optimize;  ///< in the order of `reduce`
  /// Whether a bucket's update starts when its reduction ends. Not with clipping, which needs the whole gradient's
  /// norm, nor where an update may have to be left out.
  bool update_at_once = false;

  std::size_t lane_bytes = 0;
  std::size_t shared_bytes = 0;
  std::size_t parameter_elements = 0;  ///< padded; the prefix of the state and outputs arenas
  std::size_t state_elements = 0;
  std::size_t output_elements = 0;

  int shards = 1;
  int shard_threads = 1;

  bool is_training() const { return !graph.gradients.empty(); }
  /// Whether shards wait for each other inside a pass (OpDef::synchronizes): all shards of a rank are then under way at
  /// once, each with a lane arena of its own.
  bool has_meetings() const;
  /// Layout by parameter name, for plans that share the state.
  std::map<std::string, Layout> parameter_layouts() const;
  /// XXH3-128 over everything that changes arithmetic or the order of elements, as 32 hex digits.
  std::string fingerprint() const;
};

/// The back end's rewriting, layout, hoisting, liveness: from a graph (differentiated, without dead code, fused) to a
/// plan whose reduce and optimize steps their providers still have to add. `state_of` is a plan whose state arena this
/// one shares (an evaluation plan beside a training plan), or nullptr. `recomputed_work`: the part of the
/// step's work that may be added to save memory, by making activations again in backward (passes/recompute.h).
Plan make_plan(Graph graph, BackendPlanner& planner, int shards, int shard_threads, const Plan* state_of = nullptr,
               double recomputed_work = 0);

}  // namespace athanor
