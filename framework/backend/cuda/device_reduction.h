// Sums of gradients over the ranks of a job, on their GPUs: what the executor puts between a step's backward pass and
// its update. Three kinds, chosen at start-up:
//   alone          one rank: there is nothing to add
//   group          one GPU a rank: messages between GPUs on the communication stream; part of the step's graph
//   staged         several ranks share a GPU (for tests): through pinned memory and the host's communicator, between
//                  the graphs of backward and update
// All sums follow the fixed tree of comm/tree.h, but with ReductionMode::library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/cuda/device.h"
#include "comm/communicator.h"
#include "comm/gradient_reduction.h"
#include "comm/rank_report.h"
#include "comm/shard_range.h"
#include "graph/plan.h"

namespace athanor::cuda {

struct DeviceReductionOptions {
  ReductionMode mode = ReductionMode::tree;
  DType wire = DType::f32;
  /// Seconds that a step's sums may take before a peer counts as lost; 0: the communicator's timeout.
  double timeout_s = 0;
};

/// How a job's ranks share their GPUs: the same answer on all ranks.
enum class ReductionKind : std::uint8_t { alone, group, staged };

/// Steps that are under way at once have different slots: step mod kReductionSlots, the number of their input buffer.
inline constexpr int kReductionSlots = 2;

/// The order of calls in one step of a captured reduction; between open() and close() everything is enqueued only:
///   begin_step(report, slot)              host: each step, before its launch
///   [ open(slot); backward … enqueue(0) … enqueue(n − 1); wait(0); update … wait(n − 1); close(slot) ]   captured once
///                                         a slot, or called each step
///   reports(slot), exposed_s(slot)        host: when the step's end is done
/// With `staged` wait() holds the host up, so nothing between open() and close() may be captured across it.
class DeviceReduction {
 public:
  virtual ~DeviceReduction() = default;
  virtual ReductionKind kind() const = 0;
  /// Whether open() … close() may be captured into one graph.
  virtual bool capturable() const = 0;
  /// What this rank's pieces stand for, complete subtrees from left to right: one arena of gradients for each.
  virtual const std::vector<ShardRange>& own_pieces() const = 0;
  /// Where the pieces lie: arenas of the plan's outputs in device memory (communication memory where there is a group).
  /// Before the first step.
  virtual void bind(std::vector<float*> pieces) = 0;

  /// The slot's last step must be done.
  virtual void begin_step(const RankReport& report, int slot) = 0;
  virtual void open(int slot) = 0;
  /// What has been enqueued on compute so far completes bucket `bucket` of Plan::reduce in all pieces. In their order.
  virtual void enqueue(std::size_t bucket) = 0;
  /// What comes next on compute sees the sum in pieces[0]. Throws PeerError (staged only).
  virtual void wait(std::size_t bucket) = 0;
  /// Spreads the reports and joins all streams into compute.
  virtual void close(int slot) = 0;
  /// Of all ranks, for the last step of the slot. compute_s is filled in.
  virtual std::span<const RankReport> reports(int slot) const = 0;
  /// How long after this rank's last gradient the last sum was there, in the last step of the slot.
  virtual double exposed_s(int slot) const = 0;

  /// Around a capture: nobody else may call the device meanwhile.
  virtual void set_capturing(bool capturing) = 0;
  /// Names the step that is under way, for messages.
  virtual void set_step(std::int64_t step) = 0;
  /// Bytes sent to other ranks for one step, in the tree's messages.
  virtual std::int64_t step_bytes() const = 0;
};

/// Which kind the job's ranks need. Collective.
ReductionKind reduction_kind(const Device& device, Communicator& communicator);

/// Device memory that make_device_reduction allocates.
std::size_t reduction_bytes(ReductionKind kind, const Plan& plan, const Communicator& communicator,
                            const DeviceReductionOptions& options);

/// Collective. Everything must outlive the reduction. Connects the GPUs and checks them with a sum that is known (see
/// start_check.h). Throws DeviceError, PeerError.
std::unique_ptr<DeviceReduction> make_device_reduction(ReductionKind kind, Device& device, Communicator& communicator,
                                                       const Plan& plan, const DeviceReductionOptions& options);

}  // namespace athanor::cuda
