// A GPU that is not there, for which cuDNN plans all the same. Counts and prints nothing: it keeps what was asked for.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backend/cuda/device.h"
#include "backend/cuda/plugin/cudnn_convolutions.h"
#include "base/error.h"

namespace athanor::testing {

/// A product that was asked for.
struct PlannedPattern {
  cuda::ProductSpec spec;
  std::size_t engines = 0;  ///< that cuDNN offers
  std::string engine;       ///< the first that could be made; "" where none can
  std::size_t workspace_bytes = 0;
  std::string failure;  ///< cuDNN's words
};

/// Convolutions are planned by cuDNN; matrix products, which cuBLASLt cannot plan without a GPU, count as planned.
class PlanningDevice : public cuda::Device {
 public:
  /// `properties`: JSON, as in tests/gpu/devices.
  explicit PlanningDevice(const std::string& properties) : convolutions_(properties) {
    info_.name = "a GPU that is not there";
  }
  /// By cuda::text_of.
  const std::map<std::string, PlannedPattern>& patterns() const { return patterns_; }

  const cuda::DeviceInfo& info() const override { return info_; }
  std::vector<std::string> engines(const cuda::ProductSpec& spec) override;
  std::unique_ptr<cuda::Product> make_product(const cuda::ProductSpec& spec, const std::string& engine) override;

  std::size_t free_bytes() const override { absent(); }
  void* allocate(std::size_t) override { absent(); }
  void release(void*) override { absent(); }
  void* allocate_communication(std::size_t) override { absent(); }
  void release_communication(void*) override { absent(); }
  void* allocate_pinned(std::size_t) override { absent(); }
  void release_pinned(void*) override { absent(); }
  cuda::Event make_event(bool) override { absent(); }
  void release(cuda::Event) override { absent(); }
  void record(cuda::Event, cuda::Stream) override { absent(); }
  void wait(cuda::Stream, cuda::Event) override { absent(); }
  bool is_done(cuda::Event) override { absent(); }
  void synchronize(cuda::Event) override { absent(); }
  void synchronize() override { absent(); }
  double seconds_between(cuda::Event, cuda::Event) override { absent(); }
  void copy(void*, const void*, std::size_t, cuda::Stream) override { absent(); }
  void fill_zero(void*, std::size_t, cuda::Stream) override { absent(); }
  void launch(kernels::cuda::KernelId, const void*, cuda::Stream) override { absent(); }
  void run(const cuda::Product&, std::span<void* const>, void*, cuda::Stream) override { absent(); }
  void begin_capture(cuda::Stream) override { absent(); }
  cuda::GraphExec end_capture(cuda::Stream) override { absent(); }
  void launch(cuda::GraphExec, cuda::Stream) override { absent(); }
  void release(cuda::GraphExec) override { absent(); }
  void push_range(const char*) override { absent(); }
  void pop_range() override { absent(); }
  std::vector<std::byte> make_group_key() override { absent(); }
  std::unique_ptr<cuda::DeviceGroup> make_group(std::span<const std::byte>, int, int, double) override { absent(); }

 private:
  [[noreturn]] static void absent() { throw DeviceError("this GPU is not there: it plans and does nothing else"); }

  cuda::DeviceInfo info_;
  cuda::CudnnConvolutions convolutions_;
  std::map<std::string, PlannedPattern> patterns_;
};

}  // namespace athanor::testing
