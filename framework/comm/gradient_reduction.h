// The reduction of a step's buckets while backward still runs: a thread of its own takes them in the order in which
// they are handed over, because MPI makes no progress by itself. A world of one has no thread and nothing to send.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "comm/communicator.h"
#include "comm/rank_report.h"
#include "comm/tree_reduction.h"
#include "graph/plan.h"

namespace athanor {

enum class ReductionMode : std::uint8_t {
  tree,    ///< the fixed tree: the same bits on any number of ranks
  library  ///< the communicator's all_reduce: bits depend on the ranks
};

struct GradientReductionOptions {
  ReductionMode mode = ReductionMode::tree;
  DType wire = DType::f32;      ///< with `library`: what travels; f32, bf16 or f16
  bool sharded_update = false;  ///< each rank updates its slices only, and then spreads the weights (ZeRO-1)
};

class GradientReduction {
 public:
  /// Collective. `plan` gives the buckets and must outlive this, as must `communicator`, of which this takes a
  /// duplicate.
  GradientReduction(Communicator& communicator, const Plan& plan, const GradientReductionOptions& options);
  ~GradientReduction();
  GradientReduction(const GradientReduction&) = delete;
  GradientReduction& operator=(const GradientReduction&) = delete;

  /// Where this rank's pieces lie (TreeReduction::own_pieces): arenas of the plan's outputs. Before the first step.
  void bind(std::vector<float*> pieces) { pieces_ = std::move(pieces); }

  /// One thread, before the others hand anything over.
  void begin_step(const RankReport& report);
  /// Bucket `i` of Plan::reduce is complete in all pieces. Buckets come in their order, one call at a time.
  void submit(std::size_t bucket);
  /// Returns when bucket `i` of pieces[0] is the sum over all shards (with a sharded update: its own slices). Any
  /// thread. Throws PeerError.
  void wait(std::size_t bucket);

  /// Behind the buckets of a step, in any order that is the same on all ranks: spreads each rank's slices of a bucket
  /// of `arena`; adds up disjoint parts of `words` (zero elsewhere) bit by bit.
  void submit_gather(float* arena, std::size_t bucket);
  void submit_union(std::span<double> words);
  /// Returns when everything that was submitted is done. Throws PeerError.
  void wait_all();

  /// The elements of a bucket that this rank updates: all of them, but with a sharded update.
  ArenaRange owned(std::size_t bucket) const { return owned_by(bucket, communicator_->rank()); }
  ArenaRange owned_by(std::size_t bucket, int rank) const;

  /// Of all ranks, after wait_all.
  std::span<const RankReport> reports() const { return reports_; }
  /// Bytes sent to other ranks since construction, but by the library's own collectives.
  std::int64_t bytes_sent() const { return tree_.bytes_sent() + library_bytes_; }

  /// Floats of working memory that the constructor allocates.
  static std::int64_t scratch_elements(const Plan& plan, const Communicator& communicator,
                                       const GradientReductionOptions& options);

 private:
  struct Task {
    enum class Kind : std::uint8_t { reduce, gather, unite, reports } kind = Kind::reduce;
    std::size_t bucket = 0;
    float* arena = nullptr;
    std::span<double> words;
  };

  bool is_parameters(std::size_t bucket) const;
  void push(const Task& task);
  void run(const Task& task);
  void reduce(std::size_t bucket);
  void reduce_by_library(ArenaRange range, bool compressed);
  void wait_for(std::uint32_t tasks);
  void work();

  std::unique_ptr<Communicator> communicator_;
  const Plan& plan_;
  GradientReductionOptions options_;
  TreeReduction tree_;
  std::vector<float*> pieces_;
  std::vector<std::uint16_t> wire_;  // a bucket on its way, compressed
  std::vector<RankReport> reports_;
  RankReport own_report_;
  std::int64_t step_start_ns_ = 0;
  std::int64_t library_bytes_ = 0;

  // A ring of tasks; both counters only grow.
  std::vector<Task> tasks_;
  std::uint32_t step_first_ = 0;
  std::atomic<std::uint32_t> submitted_{0};
  std::atomic<std::uint32_t> done_{0};
  std::atomic<int> waiting_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> failed_{false};
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace athanor
