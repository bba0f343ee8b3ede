#include "gpu/emulation/emulated_device.h"

#include <array>
#include <cstring>
#include <type_traits>
#include <utility>

#include "backend/cuda/direct_convolutions.h"
#include "base/error.h"
#include "gpu/emulation/products.h"

namespace athanor::testing {
namespace {

constexpr const char* kEngine = "reference";

/// CUDA takes no more bytes of arguments.
constexpr std::size_t kMostArgumentBytes = 4096;

/// An argument struct as it was when the kernel was enqueued.
struct ArgumentCopy {
  alignas(16) std::array<std::byte, kMostArgumentBytes> bytes;
};

/// Without what lies in the gaps between members, which may look like a pointer.
template <typename Arguments>
void copy_arguments(const void* from, ArgumentCopy& to) {
  static_assert(sizeof(Arguments) <= kMostArgumentBytes && std::is_trivially_copyable_v<Arguments>);
  Arguments copy = *static_cast<const Arguments*>(from);
  __builtin_clear_padding(&copy);
  std::memcpy(to.bytes.data(), &copy, sizeof(Arguments));
}

struct ArgumentType {
  std::size_t bytes = 0;
  void (*copy)(const void*, ArgumentCopy&) = nullptr;
};

template <typename... Arguments>
constexpr std::array<ArgumentType, sizeof...(Arguments)> types_of(kernels::cuda::KernelList<Arguments...>) {
  return {ArgumentType{sizeof(Arguments), copy_arguments<Arguments>}...};
}
constexpr auto kArgumentTypes = types_of(kernels::cuda::AllKernels{});

class ReferenceProduct : public cuda::Product {
 public:
  explicit ReferenceProduct(cuda::ProductSpec spec) : spec_(std::move(spec)) {}
  /// Any size that is not zero, so that a step without workspace is seen.
  std::size_t workspace_bytes() const override { return 768; }
  const std::string& engine() const override {
    static const std::string name = kEngine;
    return name;
  }
  const cuda::ProductSpec& spec() const { return spec_; }

 private:
  cuda::ProductSpec spec_;
};

/// How many of a product's tensors are read: the others hold nothing before it runs.
bool is_output(const cuda::ProductSpec& spec, std::size_t tensor) {
  const auto* convolution = std::get_if<cuda::ConvolutionSpec>(&spec);
  const bool has_bias = convolution != nullptr && convolution->bias;
  return tensor == 2 || (tensor > 2 && convolution != nullptr && tensor > (has_bias ? 3u : 2u)) ||
         (convolution == nullptr && tensor == 4);
}

std::shared_ptr<WorkGraph>* handle(cuda::GraphExec graph) {
  return reinterpret_cast<std::shared_ptr<WorkGraph>*>(graph);
}

EmulatedEvent* handle(cuda::Event event) {
  return reinterpret_cast<EmulatedEvent*>(event);
}

}  // namespace

EmulatedDevice::EmulatedDevice(const EmulationOptions& options)
    : group_faults_(options.group_faults), memory_(options.memory_bytes), scheduler_(options.seed) {
  info_.name = "host emulation";
  info_.ordinal = options.ordinal;
  info_.capability = 90;
  info_.multiprocessors = 4;
  info_.memory_bytes = options.memory_bytes;
  info_.bus_id = fmt::format("emulated:{}", options.ordinal);
  info_.driver = info_.runtime = info_.cudnn = info_.cublas = info_.nccl = "emulated";
}

void* EmulatedDevice::allocate(std::size_t bytes) {
  scheduler_.refuse_during_capture("allocate");
  return memory_.allocate(bytes, MemoryKind::device);
}

void EmulatedDevice::release(void* memory) {
  if (memory == nullptr) return;
  // As CUDA does: nothing that is under way loses its memory.
  scheduler_.synchronize();
  memory_.release(memory, MemoryKind::device);
}

void* EmulatedDevice::allocate_communication(std::size_t bytes) {
  scheduler_.refuse_during_capture("allocate_communication");
  return memory_.allocate(bytes, MemoryKind::communication);
}

void EmulatedDevice::release_communication(void* memory) {
  if (memory == nullptr) return;
  scheduler_.synchronize();
  memory_.release(memory, MemoryKind::communication);
}

void* EmulatedDevice::allocate_pinned(std::size_t bytes) {
  return memory_.allocate(bytes, MemoryKind::pinned);
}

void EmulatedDevice::release_pinned(void* memory) {
  memory_.release(memory, MemoryKind::pinned);
}

cuda::Event EmulatedDevice::make_event(bool timed) {
  return reinterpret_cast<cuda::Event>(scheduler_.make_event(timed));
}

void EmulatedDevice::release(cuda::Event event) {
  scheduler_.release(handle(event));
}

void EmulatedDevice::record(cuda::Event event, cuda::Stream stream) {
  scheduler_.record(handle(event), stream);
}

void EmulatedDevice::wait(cuda::Stream stream, cuda::Event event) {
  scheduler_.wait(stream, handle(event));
}

bool EmulatedDevice::is_done(cuda::Event event) {
  return scheduler_.is_done(handle(event));
}

void EmulatedDevice::synchronize(cuda::Event event) {
  scheduler_.synchronize(handle(event));
}

void EmulatedDevice::synchronize() {
  scheduler_.synchronize();
}

double EmulatedDevice::seconds_between(cuda::Event start, cuda::Event end) {
  return scheduler_.seconds_between(handle(start), handle(end));
}

void EmulatedDevice::copy(void* to, const void* from, std::size_t bytes, cuda::Stream stream) {
  if (bytes == 0) return;
  memory_.check_range(to, bytes, "copy to");
  memory_.check_range(from, bytes, "copy from");
  // The source is read when the copy runs: a buffer that is filled again too early shows.
  scheduler_.enqueue(stream, {"copy", [this, to, from, bytes] {
                                memory_.check_range(to, bytes, "copy to");
                                memory_.check_range(from, bytes, "copy from");
                                std::memmove(to, from, bytes);
                                return true;
                              }});
}

void EmulatedDevice::fill_zero(void* to, std::size_t bytes, cuda::Stream stream) {
  if (bytes == 0) return;
  memory_.check_range(to, bytes, "fill_zero");
  scheduler_.enqueue(stream, {"fill_zero", [this, to, bytes] {
                                memory_.check_range(to, bytes, "fill_zero");
                                std::memset(to, 0, bytes);
                                return true;
                              }});
}

void EmulatedDevice::launch(kernels::cuda::KernelId kernel, const void* arguments, cuda::Stream stream) {
  if (kernel >= kArgumentTypes.size()) throw DeviceError("there is no kernel {}", kernel);
  const std::size_t bytes = kArgumentTypes[kernel].bytes;
  const char* name = kernels::cuda::name_of(kernel);
  auto copied = std::make_shared<ArgumentCopy>();
  kArgumentTypes[kernel].copy(arguments, *copied);
  memory_.check_arguments(copied->bytes.data(), bytes, name);
  scheduler_.enqueue(stream, {name, [this, kernel, name, bytes, copied] {
                                memory_.check_arguments(copied->bytes.data(), bytes, name);
                                kernels::cuda::launcher_of(kernel)(copied->bytes.data(), nullptr);
                                return true;
                              }});
}

std::vector<std::string> EmulatedDevice::engines(const cuda::ProductSpec&) {
  return {kEngine};
}

std::unique_ptr<cuda::Product> EmulatedDevice::make_product(const cuda::ProductSpec& spec, const std::string& engine) {
  if (engine == cuda::kDirectEngine && cuda::fits_direct_engine(spec)) {
    return std::make_unique<cuda::DirectProduct>(std::get<cuda::ConvolutionSpec>(spec));
  }
  if (engine != kEngine) return nullptr;
  return std::make_unique<ReferenceProduct>(spec);
}

void EmulatedDevice::run(const cuda::Product& product, std::span<void* const> tensors, void* workspace,
                         cuda::Stream stream) {
  if (const auto* direct = dynamic_cast<const cuda::DirectProduct*>(&product)) {
    return direct->run(*this, tensors, workspace, stream);
  }
  const auto& known = dynamic_cast<const ReferenceProduct&>(product);
  const std::vector<std::size_t> bytes = cuda::tensor_bytes(known.spec());
  const std::string name = cuda::text_of(known.spec());
  if (tensors.size() != bytes.size()) throw DeviceError("{}: {} tensors, want {}", name, tensors.size(), bytes.size());
  auto check = [this, bytes, name, needed = known.workspace_bytes(), workspace,
                all = std::vector<void*>(tensors.begin(), tensors.end())] {
    for (std::size_t i = 0; i < all.size(); ++i) memory_.check_range(all[i], bytes[i], name);
    memory_.check_range(workspace, needed, name + ": workspace");
    return all;
  };
  check();
  scheduler_.enqueue(stream, {name, [check, bytes, workspace, spec = known.spec(), needed = known.workspace_bytes()] {
                                const std::vector<void*> all = check();
                                // A library may write these in any order before it is done.
                                std::memset(workspace, 0xff, needed);
                                for (std::size_t i = 0; i < all.size(); ++i) {
                                  if (is_output(spec, i)) std::memset(all[i], 0xff, bytes[i]);
                                }
                                compute_product(spec, all);
                                return true;
                              }});
}

void EmulatedDevice::begin_capture(cuda::Stream stream) {
  scheduler_.begin_capture(stream);
}

cuda::GraphExec EmulatedDevice::end_capture(cuda::Stream stream) {
  return reinterpret_cast<cuda::GraphExec>(new std::shared_ptr<WorkGraph>(scheduler_.end_capture(stream)));
}

void EmulatedDevice::launch(cuda::GraphExec graph, cuda::Stream stream) {
  if (graph == nullptr) throw DeviceError("launch: no graph");
  ++graph_launches_;
  scheduler_.launch(*handle(graph), stream);
}

void EmulatedDevice::release(cuda::GraphExec graph) {
  delete handle(graph);
}

void EmulatedDevice::pop_range() {
  if (--ranges_ < 0) throw DeviceError("pop_range without push_range");
}

std::unique_ptr<cuda::DeviceGroup> EmulatedDevice::make_group(std::span<const std::byte> key, int rank, int size,
                                                              double timeout_s) {
  std::shared_ptr<Meeting> meeting = meeting_of(key, size);
  if (!meeting->join(rank, timeout_s)) {
    throw PeerError("not all {} ranks of the group came within {} s", size, timeout_s);
  }
  return std::make_unique<EmulatedGroup>(scheduler_, memory_, std::move(meeting), rank, size, group_faults_);
}

void EmulatedDevice::check() {
  scheduler_.synchronize();
  memory_.check();
}

}  // namespace athanor::testing
