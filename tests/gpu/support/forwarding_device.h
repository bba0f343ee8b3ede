// A device that hands every call on: what wraps a device overrides what it changes.
#pragma once

#include "backend/cuda/device.h"

namespace athanor::testing {

class ForwardingDevice : public cuda::Device {
 public:
  explicit ForwardingDevice(cuda::Device& device) : device_(device) {}

  const cuda::DeviceInfo& info() const override { return call()->info(); }
  std::size_t free_bytes() const override { return call()->free_bytes(); }
  void* allocate(std::size_t bytes) override { return call()->allocate(bytes); }
  void release(void* memory) override { call()->release(memory); }
  void* allocate_communication(std::size_t bytes) override { return call()->allocate_communication(bytes); }
  void release_communication(void* memory) override { call()->release_communication(memory); }
  void* allocate_pinned(std::size_t bytes) override { return call()->allocate_pinned(bytes); }
  void release_pinned(void* memory) override { call()->release_pinned(memory); }
  cuda::Event make_event(bool timed) override { return call()->make_event(timed); }
  void release(cuda::Event event) override { call()->release(event); }
  void record(cuda::Event event, cuda::Stream stream) override { call()->record(event, stream); }
  void wait(cuda::Stream stream, cuda::Event event) override { call()->wait(stream, event); }
  bool is_done(cuda::Event event) override { return call()->is_done(event); }
  void synchronize(cuda::Event event) override { call()->synchronize(event); }
  void synchronize() override { call()->synchronize(); }
  double seconds_between(cuda::Event start, cuda::Event end) override { return call()->seconds_between(start, end); }
  void copy(void* to, const void* from, std::size_t bytes, cuda::Stream stream) override {
    call()->copy(to, from, bytes, stream);
  }
  void fill_zero(void* to, std::size_t bytes, cuda::Stream stream) override { call()->fill_zero(to, bytes, stream); }
  void launch(kernels::cuda::KernelId kernel, const void* arguments, cuda::Stream stream) override {
    call()->launch(kernel, arguments, stream);
  }
  std::vector<std::string> engines(const cuda::ProductSpec& spec) override { return call()->engines(spec); }
  std::unique_ptr<cuda::Product> make_product(const cuda::ProductSpec& spec, const std::string& engine) override {
    return call()->make_product(spec, engine);
  }
  void run(const cuda::Product& product, std::span<void* const> tensors, void* workspace,
           cuda::Stream stream) override {
    call()->run(product, tensors, workspace, stream);
  }
  void begin_capture(cuda::Stream stream) override { call()->begin_capture(stream); }
  cuda::GraphExec end_capture(cuda::Stream stream) override { return call()->end_capture(stream); }
  void launch(cuda::GraphExec graph, cuda::Stream stream) override { call()->launch(graph, stream); }
  void release(cuda::GraphExec graph) override { call()->release(graph); }
  void push_range(const char* name) override { call()->push_range(name); }
  void pop_range() override { call()->pop_range(); }
  std::vector<std::byte> make_group_key() override { return call()->make_group_key(); }
  std::unique_ptr<cuda::DeviceGroup> make_group(std::span<const std::byte> key, int rank, int size,
                                                double timeout_s) override {
    return call()->make_group(key, rank, size, timeout_s);
  }

 protected:
  /// Around every call, on the thread that makes it.
  virtual void enter() const {}
  virtual void leave() const {}

 private:
  class Call {
   public:
    explicit Call(const ForwardingDevice& from) : from_(from) { from_.enter(); }
    ~Call() { from_.leave(); }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    cuda::Device* operator->() const { return &from_.device_; }

   private:
    const ForwardingDevice& from_;
  };
  Call call() const { return Call(*this); }

  cuda::Device& device_;
};

}  // namespace athanor::testing
