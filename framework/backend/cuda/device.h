// The narrow table through which the executor reaches a GPU: memory, streams, events, graphs, own kernels, library
// products, messages between GPUs. One implementation lives in libathanor_cuda.so (backend/cuda/plugin/), the only code
// that includes CUDA's headers; another, in tests/gpu/emulation/, runs everything on the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/cuda/product.h"
#include "base/dtype.h"
#include "base/error.h"
#include "kernels/cuda/registry.h"

namespace athanor::cuda {

/// Work on one stream runs in order; streams meet only through events.
/// `beside`: work that need not hold up compute: gradients of weights.
enum class Stream : std::uint8_t { compute, communication, copy, beside };
inline constexpr int kStreams = 4;

/// The device has no such piece of memory left.
class OutOfMemory : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

/// Handles of the device; nullptr is none.
using Event = struct OpaqueEvent*;
using GraphExec = struct OpaqueGraphExec*;

struct DeviceInfo {
  std::string name;    ///< "NVIDIA H100 80GB HBM3"
  int ordinal = 0;     ///< among the visible devices
  int capability = 0;  ///< 90: compute capability 9.0
  int multiprocessors = 0;
  std::size_t memory_bytes = 0;
  std::string bus_id;
  std::string driver;  ///< version, as is the rest
  std::string runtime;
  std::string cudnn;
  std::string cublas;
  std::string nccl;
};

/// The GPUs of a job as one group. Calls enqueue on a stream and return; they may be captured. Errors appear in
/// poll().
class DeviceGroup {
 public:
  virtual ~DeviceGroup() = default;
  /// Sum in the library's order.
  virtual void all_reduce(void* data, std::size_t count, DType type, Stream stream) = 0;
  /// Point-to-point messages between begin() and end() travel together.
  virtual void begin() = 0;
  virtual void send(const void* data, std::size_t bytes, int peer, Stream stream) = 0;
  virtual void receive(void* data, std::size_t bytes, int peer, Stream stream) = 0;
  virtual void end() = 0;
  /// "" while all is well, else what the library says. Any thread, but never during capture.
  virtual std::string poll() = 0;
  /// Ends what is under way. May hang: call it from a thread that nobody waits for.
  virtual void abort() = 0;
};

/// One GPU of one process. Calls come from one thread, but where a comment says otherwise. Throws DeviceError, with the
/// library's own words, where a call fails.
class Device {
 public:
  virtual ~Device() = default;
  virtual const DeviceInfo& info() const = 0;
  virtual std::size_t free_bytes() const = 0;

  /// Aligned to 512 bytes. Throws OutOfMemory.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* memory) = 0;
  /// Memory that a DeviceGroup can read and write directly.
  virtual void* allocate_communication(std::size_t bytes) = 0;
  virtual void release_communication(void* memory) = 0;
  /// Host memory that the device reads and writes at the same address. Any thread.
  virtual void* allocate_pinned(std::size_t bytes) = 0;
  virtual void release_pinned(void* memory) = 0;

  /// `timed`: seconds_between works.
  virtual Event make_event(bool timed) = 0;
  virtual void release(Event event) = 0;
  virtual void record(Event event, Stream stream) = 0;
  /// What comes next on `stream` waits for the event's last record.
  virtual void wait(Stream stream, Event event) = 0;
  virtual bool is_done(Event event) = 0;
  /// The host waits. synchronize(): for everything.
  virtual void synchronize(Event event) = 0;
  virtual void synchronize() = 0;
  virtual double seconds_between(Event start, Event end) = 0;

  /// Between device and pinned memory in any direction.
  virtual void copy(void* to, const void* from, std::size_t bytes, Stream stream) = 0;
  virtual void fill_zero(void* to, std::size_t bytes, Stream stream) = 0;
  /// `arguments`: the kernel's argument struct; copied.
  virtual void launch(kernels::cuda::KernelId kernel, const void* arguments, Stream stream) = 0;

  /// Engines that can run `spec` here, the library's favourite first; empty: none can.
  virtual std::vector<std::string> engines(const ProductSpec& spec) = 0;
  /// nullptr where that engine cannot.
  virtual std::unique_ptr<Product> make_product(const ProductSpec& spec, const std::string& engine) = 0;
  virtual void run(const Product& product, std::span<void* const> tensors, void* workspace, Stream stream) = 0;

  /// Everything enqueued from here on `stream`, and on streams that join it through events, becomes a graph instead of
  /// running.
  virtual void begin_capture(Stream stream) = 0;
  virtual GraphExec end_capture(Stream stream) = 0;
  virtual void launch(GraphExec graph, Stream stream) = 0;
  virtual void release(GraphExec graph) = 0;

  /// Names what follows in profilers' timelines.
  virtual void push_range(const char* name) = 0;
  virtual void pop_range() = 0;

  /// A key that make_group of all ranks needs; rank 0 makes it.
  virtual std::vector<std::byte> make_group_key() = 0;
  /// Collective over the ranks that hold the key. Throws PeerError when the others do not come within `timeout_s`,
  /// DeviceError where the library refuses.
  virtual std::unique_ptr<DeviceGroup> make_group(std::span<const std::byte> key, int rank, int size,
                                                  double timeout_s) = 0;
};

/// Enqueues one of our own kernels.
template <typename Arguments>
void launch(Device& device, const Arguments& arguments, Stream stream) {
  device.launch(kernels::cuda::id_of<Arguments>(), &arguments, stream);
}

}  // namespace athanor::cuda
