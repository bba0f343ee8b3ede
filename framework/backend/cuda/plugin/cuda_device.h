// A GPU through CUDA's runtime, cuDNN, cuBLASLt and NCCL: the real implementation of cuda::Device.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <cstddef>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "backend/cuda/device.h"

namespace athanor::cuda {

class LibraryProducts;

class CudaDevice final : public Device {
 public:
  /// `ordinal`: among the visible devices. Makes it the calling thread's device. Throws DeviceError.
  explicit CudaDevice(int ordinal);
  ~CudaDevice() override;

  const DeviceInfo& info() const override { return info_; }
  std::size_t free_bytes() const override;

  void* allocate(std::size_t bytes) override;
  void release(void* memory) override;
  void* allocate_communication(std::size_t bytes) override;
  void release_communication(void* memory) override;
  void* allocate_pinned(std::size_t bytes) override;
  void release_pinned(void* memory) override;

  Event make_event(bool timed) override;
  void release(Event event) override;
  void record(Event event, Stream stream) override;
  void wait(Stream stream, Event event) override;
  bool is_done(Event event) override;
  void synchronize(Event event) override;
  void synchronize() override;
  double seconds_between(Event start, Event end) override;

  void copy(void* to, const void* from, std::size_t bytes, Stream stream) override;
  void fill_zero(void* to, std::size_t bytes, Stream stream) override;
  void launch(kernels::cuda::KernelId kernel, const void* arguments, Stream stream) override;

  std::vector<std::string> engines(const ProductSpec& spec) override;
  std::unique_ptr<Product> make_product(const ProductSpec& spec, const std::string& engine) override;
  void run(const Product& product, std::span<void* const> tensors, void* workspace, Stream stream) override;

  void begin_capture(Stream stream) override;
  GraphExec end_capture(Stream stream) override;
  void launch(GraphExec graph, Stream stream) override;
  void release(GraphExec graph) override;

  void push_range(const char* name) override;
  void pop_range() override;

  std::vector<std::byte> make_group_key() override;
  std::unique_ptr<DeviceGroup> make_group(std::span<const std::byte> key, int rank, int size,
                                          double timeout_s) override;

  cudaStream_t stream_of(Stream stream) const { return streams_[static_cast<std::size_t>(stream)]; }

 private:
  bool has_direct_engine(const ProductSpec& spec) const;

  /// A block for messages between GPUs; `registered`: NCCL's own, which its networks and links can reach.
  struct CommunicationBlock {
    void* memory = nullptr;
    std::size_t bytes = 0;
    bool registered = false;
  };

  int ordinal_;
  DeviceInfo info_;
  std::array<cudaStream_t, kStreams> streams_{};
  std::vector<CommunicationBlock> communication_;
  std::unique_ptr<LibraryProducts> products_;
};

/// What the device says of itself and of the libraries that are loaded.
DeviceInfo describe_device(int ordinal);

}  // namespace athanor::cuda
