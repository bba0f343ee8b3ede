// A device on which our own engine runs every product that it fits.
#pragma once

#include <atomic>

#include "backend/cuda/direct_convolutions.h"
#include "gpu/support/forwarding_device.h"

namespace athanor::testing {

/// Has no engine that sums a convolution's output, so that plain convolutions are asked for. Counts in `runs` what our
/// engine has run or what of it was captured.
class DirectDevice : public ForwardingDevice {
 public:
  DirectDevice(cuda::Device& device, std::atomic<int>& runs) : ForwardingDevice(device), runs_(runs) {}

  std::vector<std::string> engines(const cuda::ProductSpec& spec) override {
    const auto* conv = std::get_if<cuda::ConvolutionSpec>(&spec);
    if (conv != nullptr && conv->statistics) return {};
    if (cuda::fits_direct_engine(spec)) return {std::string(cuda::kDirectEngine)};
    return ForwardingDevice::engines(spec);
  }
  void run(const cuda::Product& product, std::span<void* const> tensors, void* workspace,
           cuda::Stream stream) override {
    runs_ += product.engine() == cuda::kDirectEngine;
    ForwardingDevice::run(product, tensors, workspace, stream);
  }

 private:
  std::atomic<int>& runs_;
};

}  // namespace athanor::testing
