// Sums over ranks of which several share a GPU, which the library between GPUs refuses: gradients are copied to pinned
// memory, summed there by the host's own reduction, and copied back. The same bits as everywhere; for tests.
#pragma once

#include "backend/cuda/device_memory.h"
#include "backend/cuda/device_reduction.h"

namespace athanor::cuda {

class StagedReduction final : public DeviceReduction {
 public:
  StagedReduction(Device& device, Communicator& communicator, const Plan& plan, const DeviceReductionOptions& options);

  ReductionKind kind() const override { return ReductionKind::staged; }
  bool capturable() const override { return false; }
  const std::vector<ShardRange>& own_pieces() const override { return own_pieces_; }
  void bind(std::vector<float*> pieces) override;

  void begin_step(const RankReport& report, int slot) override;
  void open(int) override {}
  void enqueue(std::size_t bucket) override;
  void wait(std::size_t bucket) override;
  void close(int slot) override;
  std::span<const RankReport> reports(int slot) const override;
  double exposed_s(int slot) const override { return slots_[static_cast<std::size_t>(slot)].exposed_s; }

  void set_capturing(bool) override {}
  void set_step(std::int64_t) override {}
  std::int64_t step_bytes() const override { return step_bytes_; }

 private:
  struct Slot {
    std::vector<RankReport> reports;
    double exposed_s = 0;
  };
  /// Hands over what has arrived in pinned memory, up to bucket `last`, for which it waits.
  void submit_to(std::size_t last);

  Device& device_;
  const Plan& plan_;
  std::vector<ShardRange> own_pieces_;
  std::vector<float*> pieces_;
  std::vector<DeviceMemory> staged_;          // an arena for each piece
  std::vector<DeviceEvent> ready_, arrived_;  // by bucket
  std::vector<Slot> slots_;
  std::size_t submitted_ = 0;  // buckets of the step under way
  std::size_t returned_ = 0;
  int slot_ = 0;
  std::int64_t bytes_before_ = 0;
  std::int64_t step_bytes_ = 0;
  GradientReduction reduction_;  // last: its thread reads staged_
};

}  // namespace athanor::cuda
