// Sums over ranks with one GPU each: the rounds of comm/tree_messages.h as messages between GPUs and additions on them,
// with the same bits as between hosts. Everything is enqueued on the communication stream, which follows compute bucket
// by bucket, and may be captured.
#pragma once

#include "backend/cuda/device_memory.h"
#include "backend/cuda/device_reduction.h"
#include "backend/cuda/group_watchdog.h"
#include "backend/cuda/progress_board.h"
#include "comm/tree_messages.h"

namespace athanor::cuda {

class GroupReduction final : public DeviceReduction {
 public:
  /// The options' timeout counts, not the watchdog's.
  GroupReduction(Device& device, std::unique_ptr<DeviceGroup> group, Communicator& communicator, const Plan& plan,
                 const DeviceReductionOptions& options, WatchdogOptions watchdog = {});
  ~GroupReduction() override;

  ReductionKind kind() const override { return ReductionKind::group; }
  bool capturable() const override { return true; }
  const std::vector<ShardRange>& own_pieces() const override { return messages_.own_pieces(); }
  void bind(std::vector<float*> pieces) override;

  void begin_step(const RankReport& report, int slot) override;
  void open(int slot) override;
  void enqueue(std::size_t bucket) override;
  void wait(std::size_t bucket) override;
  void close(int slot) override;
  std::span<const RankReport> reports(int slot) const override;
  double exposed_s(int slot) const override;

  void set_capturing(bool capturing) override { watchdog_.set_capturing(capturing); }
  void set_step(std::int64_t step) override { step_ = step; }
  std::int64_t step_bytes() const override { return step_bytes_; }

  static std::size_t memory_bytes(const Plan& plan, int rank, int ranks, const DeviceReductionOptions& options);

 private:
  /// What the host reads of a slot, behind what it writes.
  struct SlotWords {
    RankReport* own;
    RankReport* all;
    float* exposed_s;
  };
  SlotWords words(int slot) const;
  bool is_parameters(std::size_t bucket) const;
  float* at(TreeOperand operand) const;
  void exchange(const TreeRounds::Round& round);
  void reduce_along_tree(std::size_t bucket);
  void reduce_by_library(std::size_t bucket);
  void exchange_reports(int slot);
  std::int64_t bytes_of_step() const;

  Device& device_;
  Communicator& communicator_;
  const Plan& plan_;
  DeviceReductionOptions options_;
  std::unique_ptr<DeviceGroup> group_;
  TreeMessages messages_;
  std::vector<TreeRounds> rounds_;  // by bucket
  std::vector<float*> pieces_;
  DeviceMemory scratch_;
  DeviceMemory reports_;  // of all ranks, on their way
  DeviceMemory clocks_;   // see Clocks
  DeviceMemory words_;    // pinned, by slot
  DeviceEvent opened_, closed_;
  std::vector<DeviceEvent> ready_, done_;  // by bucket
  std::int64_t step_ = 0;
  std::int64_t sequence_ = 0;  // steps begun
  std::int64_t step_bytes_ = 0;
  ProgressBoard board_;
  GroupWatchdog watchdog_;  // last: stops before what it watches
};

}  // namespace athanor::cuda
