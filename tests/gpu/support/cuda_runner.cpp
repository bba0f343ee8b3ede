#include "gpu/support/cuda_runner.h"

#include <algorithm>
#include <cstring>

#include "backend/cuda/bound_pass.h"
#include "backend/cuda/device_memory.h"
#include "backend/cuda/op.h"
#include "backend/cuda/planner.h"
#include "base/error.h"
#include "gpu/support/test_device.h"
#include "graph/op.h"
#include "graph/plan.h"

namespace athanor::testing {
namespace {

using cuda::DeviceMemory;
using cuda::MemoryKind;
using cuda::Stream;
using reference::Tensor;

/// Moves bytes between the host and the device.
class Transfer {
 public:
  explicit Transfer(cuda::Device& device) : device_(device) {}

  void to_device(void* target, const void* source, std::size_t bytes) {
    const DeviceMemory staging(device_, MemoryKind::pinned, bytes);
    std::memcpy(staging.data(), source, bytes);
    device_.copy(target, staging.data(), bytes, Stream::compute);
    device_.synchronize();
  }
  std::vector<std::byte> to_host(const void* source, std::size_t bytes) {
    const DeviceMemory staging(device_, MemoryKind::pinned, bytes);
    device_.copy(staging.data(), source, bytes, Stream::compute);
    device_.synchronize();
    return {staging.data(), staging.data() + bytes};
  }

 private:
  cuda::Device& device_;
};

DeviceMemory poisoned(cuda::Device& device, std::size_t bytes) {
  DeviceMemory memory(device, MemoryKind::device, std::max<std::size_t>(bytes, 64));
  const std::vector<std::byte> poison(memory.bytes(), std::byte{0xff});
  Transfer(device).to_device(memory.data(), poison.data(), poison.size());
  return memory;
}

template <typename T>
std::vector<std::byte> bytes_as(const Tensor& tensor) {
  std::vector<std::byte> bytes(tensor.values.size() * sizeof(T));
  for (std::size_t e = 0; e < tensor.values.size(); ++e) {
    const T value = static_cast<T>(tensor.values[e]);
    std::memcpy(bytes.data() + e * sizeof(T), &value, sizeof(T));
  }
  return bytes;
}

std::vector<std::byte> bytes_of(const Tensor& tensor, DType dtype) {
  switch (dtype) {
    case DType::f32:
      return bytes_as<float>(tensor);
    case DType::i32:
      return bytes_as<std::int32_t>(tensor);
    case DType::i64:
      return bytes_as<std::int64_t>(tensor);
    case DType::u8:
      return bytes_as<std::uint8_t>(tensor);
    default:
      ATHANOR_CHECK(false, "no test feeds {}", name_of(dtype));
  }
}

double element_of(const std::vector<std::byte>& bytes, std::size_t element, DType dtype) {
  const std::byte* at = bytes.data() + element * size_of(dtype);
  const auto as = [at]<typename T>(T value) {
    std::memcpy(&value, at, sizeof(T));
    return value;
  };
  switch (dtype) {
    case DType::f32:
      return static_cast<double>(as(0.0f));
    case DType::bf16:
      return static_cast<double>(static_cast<float>(as(BFloat16{})));
    case DType::f16:
      return static_cast<double>(static_cast<float>(as(Float16{})));
    case DType::i32:
      return static_cast<double>(as(std::int32_t{0}));
    default:
      ATHANOR_CHECK(false, "no test reads {}", name_of(dtype));
  }
}

/// Where element e of a value in logical order lies in a layout of the GPU.
std::size_t place_of(const Value& value, const Layout& layout, std::int64_t e) {
  if (layout == kPlain || value.shape.rank() != 4) return static_cast<std::size_t>(e);
  const kernels::cuda::ChannelOrder order = cuda::order_of(value.shape, layout);
  ATHANOR_CHECK(order.channels_last, "layout {}", layout);
  const std::int64_t channels = value.shape[1], height = value.shape[2], width = value.shape[3];
  const std::int64_t x = e % width + order.front, y = e / width % height + order.front;
  const std::int64_t channel = e / (width * height) % channels, sample = e / (width * height) / channels;
  const std::int64_t pixel = (sample * order.height + y / order.fold) * order.width + x / order.fold;
  const std::int64_t part = y % order.fold * order.fold + x % order.fold;
  return static_cast<std::size_t>(pixel * order.channels + part * channels + channel);
}

Tensor read(Transfer& transfer, const Value& value, const Layout& layout, const void* source) {
  const auto stored = static_cast<std::size_t>(cuda::stored_elements(value, layout));
  const std::vector<std::byte> bytes = transfer.to_host(source, stored * size_of(value.dtype));
  Tensor tensor(reference::Extents(value.shape.extents().begin(), value.shape.extents().end()));
  for (std::int64_t e = 0; e < tensor.elements(); ++e) {
    tensor[e] = element_of(bytes, place_of(value, layout, e), value.dtype);
  }
  return tensor;
}

}  // namespace

std::vector<Tensor> run_graph_on(cuda::Device& device, cuda::EngineChoice& engines, const Graph& graph,
                                 const Feeds& feeds, const RunOptions& options) {
  cuda::CudaPlanner planner(engines, {});
  const Plan plan = make_plan(graph, planner, 1, 1);
  const DeviceMemory state = poisoned(device, plan.state_elements * sizeof(float));
  const DeviceMemory outputs = poisoned(device, plan.output_elements * sizeof(float));
  const DeviceMemory shared = poisoned(device, plan.shared_bytes), lane = poisoned(device, plan.lane_bytes);
  const Arenas arenas{state.data(), outputs.data(), shared.data(), lane.data()};
  Transfer transfer(device);
  for (const ValueId id : plan.graph.of_role(Role::constant)) {
    const Value& value = plan.graph.value(id);
    transfer.to_device(address_of(plan, arenas, id), value.constant.data(), value.constant.size() * sizeof(float));
  }
  for (const auto& [id, tensor] : feeds) {
    const std::vector<std::byte> bytes = bytes_of(tensor, plan.graph.value(id).dtype);
    transfer.to_device(address_of(plan, arenas, id), bytes.data(), bytes.size());
  }
  const cuda::BindContext context{device, engines, {}, options.seed};
  const auto address = [&](ValueId id) { return address_of(plan, arenas, id); };
  for (const cuda::BoundStep& step : cuda::bind_prologue(plan, arenas, context)) step.run(Stream::compute);
  for (const cuda::BoundStep& step : cuda::bind_shard(plan, arenas, address, context)) {
    step.run(Stream::compute);
    const Node& node = plan.graph.node(step.node);
    // Where all shards meet, the executor moves the values: here of one shard.
    if (node.op->synchronizes) {
      device.copy(address(node.outputs[0]), address(node.inputs[0]),
                  BackendPlanner::dense_bytes(plan.graph.value(node.inputs[0])), Stream::compute);
    }
  }
  device.synchronize();
  std::vector<Tensor> results;
  for (const ValueId id : plan.graph.outputs) {
    const Layout& layout = plan.buffers[static_cast<std::size_t>(id)].layout;
    results.push_back(read(transfer, plan.graph.value(id), layout, address_of(plan, arenas, id)));
  }
  return results;
}

std::vector<Tensor> run_graph_on_gpu(const Graph& graph, const Feeds& feeds, const RunOptions& options) {
  std::vector<Tensor> results = run_graph_on(test_device(), test_engines(), graph, feeds, options);
  check_test_device();
  return results;
}

}  // namespace athanor::testing
