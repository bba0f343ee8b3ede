// A device that hands every call on: what wraps a device overrides what it changes.
#pragma once

#include "backend/cuda/device.h"

namespace athanor::testing {

class ForwardingDevice : public cuda::Device {
 public:
  explicit ForwardingDevice(cuda::Device& device) : device_(device) {}

  const cuda::DeviceInfo& info() const override { return device_.info(); }
  std::size_t free_bytes() const override { return device_.free_bytes(); }
  void* allocate(std::size_t bytes) override { return device_.allocate(bytes); }
  void release(void* memory) override { device_.release(memory); }
  void* allocate_communication(std::size_t bytes) override { return device_.allocate_communication(bytes); }
  void release_communication(void* memory) override { device_.release_communication(memory); }
  void* allocate_pinned(std::size_t bytes) override { return device_.allocate_pinned(bytes); }
  void release_pinned(void* memory) override { device_.release_pinned(memory); }
  cuda::Event make_event(bool timed) override { return device_.make_event(timed); }
  void release(cuda::Event event) override { device_.release(event); }
  void record(cuda::Event event, cuda::Stream stream) override { device_.record(event, stream); }
  void wait(cuda::Stream stream, cuda::Event event) override { device_.wait(stream, event); }
  bool is_done(cuda::Event event) override { return device_.is_done(event); }
  void synchronize(cuda::Event event) override { device_.synchronize(event); }
  void synchronize() override { device_.synchronize(); }
  double seconds_between(cuda::Event start, cuda::Event end) override { return device_.seconds_between(start, end); }
  void copy(void* to, const void* from, std::size_t bytes, cuda::Stream stream) override {
    device_.copy(to, from, bytes, stream);
  }
  void fill_zero(void* to, std::size_t bytes, cuda::Stream stream) override { device_.fill_zero(to, bytes, stream); }
  void launch(kernels::cuda::KernelId kernel, const void* arguments, cuda::Stream stream) override {
    device_.launch(kernel, arguments, stream);
  }
  std::vector<std::string> engines(const cuda::ProductSpec& spec) override { return device_.engines(spec); }
  std::unique_ptr<cuda::Product> make_product(const cuda::ProductSpec& spec, const std::string& engine) override {
    return device_.make_product(spec, engine);
  }
  void run(const cuda::Product& product, std::span<void* const> tensors, void* workspace,
           cuda::Stream stream) override {
    device_.run(product, tensors, workspace, stream);
  }
  void begin_capture(cuda::Stream stream) override { device_.begin_capture(stream); }
  cuda::GraphExec end_capture(cuda::Stream stream) override { return device_.end_capture(stream); }
  void launch(cuda::GraphExec graph, cuda::Stream stream) override { device_.launch(graph, stream); }
  void release(cuda::GraphExec graph) override { device_.release(graph); }
  void push_range(const char* name) override { device_.push_range(name); }
  void pop_range() override { device_.pop_range(); }
  std::vector<std::byte> make_group_key() override { return device_.make_group_key(); }
  std::unique_ptr<cuda::DeviceGroup> make_group(std::span<const std::byte> key, int rank, int size,
                                                double timeout_s) override {
    return device_.make_group(key, rank, size, timeout_s);
  }

 private:
  cuda::Device& device_;
};

}  // namespace athanor::testing
