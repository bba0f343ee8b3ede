#include "backend/cuda/device_reduction.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <set>

#include "backend/cuda/group_reduction.h"
#include "backend/cuda/staged_reduction.h"
#include "backend/cuda/start_check.h"
#include "base/error.h"

namespace athanor::cuda {
namespace {

/// One rank: its own piece is the sum.
class Alone final : public DeviceReduction {
 public:
  explicit Alone(const Plan& plan) : own_pieces_{{0, plan.shards}} {}

  ReductionKind kind() const override { return ReductionKind::alone; }
  bool capturable() const override { return true; }
  const std::vector<ShardRange>& own_pieces() const override { return own_pieces_; }
  void bind(std::vector<float*>) override {}
  void begin_step(const RankReport& report, int slot) override { reports_[static_cast<std::size_t>(slot)] = report; }
  void open(int) override {}
  void enqueue(std::size_t) override {}
  void wait(std::size_t) override {}
  void close(int) override {}
  std::span<const RankReport> reports(int slot) const override {
    return {&reports_[static_cast<std::size_t>(slot)], 1};
  }
  double exposed_s(int) const override { return 0; }
  void set_capturing(bool) override {}
  void set_step(std::int64_t) override {}
  std::int64_t step_bytes() const override { return 0; }

 private:
  std::vector<ShardRange> own_pieces_;
  std::array<RankReport, kReductionSlots> reports_;
};

std::unique_ptr<DeviceGroup> connect(Device& device, Communicator& communicator) {
  std::string key;
  if (communicator.rank() == 0) {
    const std::vector<std::byte> bytes = device.make_group_key();
    key.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  key = broadcast_text(communicator, key, 0, "key of the GPUs' group");
  return device.make_group(std::as_bytes(std::span(key)), communicator.rank(), communicator.size(),
                           communicator.timeout_s());
}

}  // namespace

ReductionKind reduction_kind(const Device& device, Communicator& communicator) {
  if (communicator.size() == 1) return ReductionKind::alone;
  const std::vector<std::string> devices =
      gather_texts(communicator, fmt::format("{} {}", communicator.host(), device.info().bus_id), "devices");
  const bool one_each = std::set(devices.begin(), devices.end()).size() == devices.size();
  return one_each ? ReductionKind::group : ReductionKind::staged;
}

std::size_t reduction_bytes(ReductionKind kind, const Plan& plan, const Communicator& communicator,
                            const DeviceReductionOptions& options) {
  if (kind != ReductionKind::group) return 0;
  return GroupReduction::memory_bytes(plan, communicator.rank(), communicator.size(), options);
}

std::unique_ptr<DeviceReduction> make_device_reduction(ReductionKind kind, Device& device, Communicator& communicator,
                                                       const Plan& plan, const DeviceReductionOptions& options) {
  if (kind == ReductionKind::alone) return std::make_unique<Alone>(plan);
  if (kind == ReductionKind::staged) {
    return std::make_unique<StagedReduction>(device, communicator, plan, options);
  }
  std::unique_ptr<DeviceGroup> group = connect(device, communicator);
  check_group(device, *group, communicator);
  return std::make_unique<GroupReduction>(device, std::move(group), communicator, plan, options);
}

}  // namespace athanor::cuda
