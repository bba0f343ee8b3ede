#include "backend/cuda/roofline.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "backend/cuda/device_memory.h"
#include "base/error.h"
#include "graph/op.h"

namespace athanor::cuda {
namespace {

constexpr std::int64_t kMatrixSide = 8192;
constexpr std::size_t kCopyBytes = std::size_t{1} << 30;
constexpr int kRepeats = 8;

/// Seconds of one of `enqueue`'s calls, the fastest of a few.
template <typename Enqueue>
double fastest(Device& device, Enqueue enqueue) {
  DeviceEvent start(device, true), end(device, true);
  enqueue();
  double best_s = 0;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    device.record(start.get(), Stream::compute);
    enqueue();
    device.record(end.get(), Stream::compute);
    device.synchronize();
    const double seconds = device.seconds_between(start.get(), end.get());
    best_s = repeat == 0 ? seconds : std::min(best_s, seconds);
  }
  return best_s;
}

/// Numbers that are neither zero nor alike: the power that a product takes, and so its clock, depend on them.
DeviceMemory varied_matrix(Device& device, std::size_t bytes) {
  constexpr std::size_t kPattern = std::size_t{1} << 20;
  const DeviceMemory pattern(device, MemoryKind::pinned, kPattern);
  std::uint32_t state = 1;
  for (std::size_t i = 0; i + 1 < kPattern; i += 2) {
    state = state * 1664525u + 1013904223u;
    // As a 16-bit or the upper half of a 32-bit float: a magnitude near 1, any sign.
    const auto half = static_cast<std::uint16_t>(0x3c00u | ((state >> 16) & 0x83ffu));
    std::memcpy(pattern.data() + i, &half, sizeof(half));
  }
  DeviceMemory matrix(device, MemoryKind::device, bytes);
  for (std::size_t at = 0; at < bytes; at += kPattern) {
    device.copy(matrix.data() + at, pattern.data(), std::min(kPattern, bytes - at), Stream::compute);
  }
  device.synchronize();
  return matrix;
}

double measure_products(Device& device, EngineChoice& engines, DType type, bool tf32) {
  const MatmulSpec spec{.m = kMatrixSide,
                        .n = kMatrixSide,
                        .k = kMatrixSide,
                        .transpose_b = true,
                        .type = type,
                        .output = type,
                        .tf32 = tf32};
  const ChosenEngine* chosen = engines.choose(spec);
  if (chosen == nullptr) throw DeviceError("no engine for {}", text_of(spec));
  const std::shared_ptr<const Product> product = engines.make(spec, chosen->engine);
  const std::vector<std::size_t> bytes = tensor_bytes(spec);
  const DeviceMemory a = varied_matrix(device, bytes[0]), b = varied_matrix(device, bytes[1]);
  const DeviceMemory d(device, MemoryKind::device, bytes[2]),
      workspace(device, MemoryKind::device, product->workspace_bytes());
  void* const tensors[] = {a.data(), b.data(), d.data()};
  const double seconds = fastest(device, [&] { device.run(*product, tensors, workspace.data(), Stream::compute); });
  return flops_of(spec) / seconds;
}

double measure_copy(Device& device) {
  const DeviceMemory from(device, MemoryKind::device, kCopyBytes), to(device, MemoryKind::device, kCopyBytes);
  device.fill_zero(from.data(), kCopyBytes, Stream::compute);
  const double seconds = fastest(device, [&] { device.copy(to.data(), from.data(), kCopyBytes, Stream::compute); });
  return 2.0 * static_cast<double>(kCopyBytes) / seconds;
}

class Roofline final : public Ceiling {
 public:
  Roofline(const Plan& plan, Device& device, EngineChoice& engines) : plan_(plan), device_(device), engines_(engines) {
    for (const PlannedStep& step : plan.shard) {
      const Node& node = plan.graph.node(step.node);
      if (node.op->name == "conv2d" || node.op->name == "linear") type_ = plan.graph.value(node.inputs[0]).dtype;
    }
  }
  double run() override { return roofline_s(plan_, measure_rates(device_, engines_, type_, true), 1); }
  const std::vector<CeilingProduct>& products() const override { return products_; }
  std::size_t bytes() const override { return 2 * kCopyBytes; }

 private:
  const Plan& plan_;
  Device& device_;
  EngineChoice& engines_;
  DType type_ = DType::f32;
  std::vector<CeilingProduct> products_;
};

}  // namespace

MeasuredRates measure_rates(Device& device, EngineChoice& engines, DType type, bool tf32) {
  return {measure_products(device, engines, type, tf32), measure_copy(device)};
}

StepWork work_of(const Plan& plan, const PlannedStep& step) {
  const Node& node = plan.graph.node(step.node);
  StepWork work;
  if (node.op->is_view) return work;
  if (is_product(node) && node.op->flops) work.flops = node.op->flops(plan.graph, node);
  const auto add = [&](ValueId value) {
    if (value != kNoValue) work.bytes += static_cast<double>(plan.buffers[static_cast<std::size_t>(value)].bytes);
  };
  const std::set<ValueId> read(node.inputs.begin(), node.inputs.end());
  std::for_each(read.begin(), read.end(), add);
  std::for_each(node.outputs.begin(), node.outputs.end(), add);
  return work;
}

double roofline_s(const Plan& plan, const MeasuredRates& rates, std::size_t slots) {
  const auto seconds = [&](const std::vector<PlannedStep>& steps) {
    double sum = 0;
    for (const PlannedStep& step : steps) {
      const StepWork work = work_of(plan, step);
      sum += std::max(work.flops / rates.flops_per_s, work.bytes / rates.bytes_per_s);
    }
    return sum;
  };
  // The norm reads gradients; the update reads them again, and reads and writes weights and slots.
  const double update_bytes =
      static_cast<double>(plan.parameter_elements * sizeof(float)) * static_cast<double>(4 + 2 * slots);
  return seconds(plan.prologue) + seconds(plan.shard) * plan.shards +
         (plan.is_training() ? update_bytes / rates.bytes_per_s : 0);
}

std::unique_ptr<Ceiling> make_roofline(const Plan& plan, Device& device, EngineChoice& engines) {
  return std::make_unique<Roofline>(plan, device, engines);
}

}  // namespace athanor::cuda
