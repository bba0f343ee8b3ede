// A GPU that is not there: the table of backend/cuda/device.h over the host's memory and threads. It runs our kernels'
// own sources, library products by plain loops, and finds what a real device would leave to luck: reads of memory that
// nobody wrote, writes past the end, work in an order that nothing forbids, calls that break a capture.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/cuda/device.h"
#include "gpu/emulation/hub.h"
#include "gpu/emulation/memory.h"
#include "gpu/emulation/scheduler.h"

namespace athanor::testing {

struct EmulationOptions {
  std::uint64_t seed = 1;  ///< of the order in which streams run
  std::size_t memory_bytes = std::size_t{1} << 30;
  int ordinal = 0;
  GroupFaults group_faults = {};
};

class EmulatedDevice : public cuda::Device {
 public:
  explicit EmulatedDevice(const EmulationOptions& options = {});

  const cuda::DeviceInfo& info() const override { return info_; }
  std::size_t free_bytes() const override { return memory_.free_bytes(); }

  void* allocate(std::size_t bytes) override;
  void release(void* memory) override;
  void* allocate_communication(std::size_t bytes) override;
  void release_communication(void* memory) override;
  void* allocate_pinned(std::size_t bytes) override;
  void release_pinned(void* memory) override;

  cuda::Event make_event(bool timed) override;
  void release(cuda::Event event) override;
  void record(cuda::Event event, cuda::Stream stream) override;
  void wait(cuda::Stream stream, cuda::Event event) override;
  bool is_done(cuda::Event event) override;
  void synchronize(cuda::Event event) override;
  void synchronize() override;
  double seconds_between(cuda::Event start, cuda::Event end) override;

  void copy(void* to, const void* from, std::size_t bytes, cuda::Stream stream) override;
  void fill_zero(void* to, std::size_t bytes, cuda::Stream stream) override;
  void launch(kernels::cuda::KernelId kernel, const void* arguments, cuda::Stream stream) override;

  std::vector<std::string> engines(const cuda::ProductSpec& spec) override;
  std::unique_ptr<cuda::Product> make_product(const cuda::ProductSpec& spec, const std::string& engine) override;
  void run(const cuda::Product& product, std::span<void* const> tensors, void* workspace, cuda::Stream stream) override;

  void begin_capture(cuda::Stream stream) override;
  cuda::GraphExec end_capture(cuda::Stream stream) override;
  void launch(cuda::GraphExec graph, cuda::Stream stream) override;
  void release(cuda::GraphExec graph) override;

  void push_range(const char*) override { ++ranges_; }
  void pop_range() override;

  std::vector<std::byte> make_group_key() override { return new_group_key(); }
  std::unique_ptr<cuda::DeviceGroup> make_group(std::span<const std::byte> key, int rank, int size,
                                                double timeout_s) override;

  /// Waits for everything, then looks at all red zones and at what was released: what a test ends with.
  void check();
  const EmulatedMemory& memory() const { return memory_; }
  /// Work that has run so far, nodes of graphs included.
  std::uint64_t executed() const { return scheduler_.executed(); }
  /// Graphs that were launched so far.
  std::uint64_t graph_launches() const { return graph_launches_; }

 private:
  cuda::DeviceInfo info_;
  GroupFaults group_faults_;
  EmulatedMemory memory_;
  int ranges_ = 0;
  std::uint64_t graph_launches_ = 0;
  /// Last: its thread ends before what it works on.
  Scheduler scheduler_;
};

}  // namespace athanor::testing
