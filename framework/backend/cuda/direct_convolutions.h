// Our own engine for 3 × 3 convolutions of few channels, where cuDNN's leave most of a GPU idle. It is offered beside
// the library's and timed like them.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "backend/cuda/device.h"

namespace athanor::cuda {

inline constexpr std::string_view kDirectEngine = "athanor:direct";

/// Whether an engine is one of ours: then its name says so, and no library's name goes before it.
constexpr bool is_own_engine(std::string_view engine) {
  return engine.starts_with("athanor:");
}

/// A product of kDirectEngine; it runs by kernels alone, so on any Device.
class DirectProduct final : public Product {
 public:
  explicit DirectProduct(const ConvolutionSpec& spec);
  std::size_t workspace_bytes() const override { return workspace_bytes_; }
  const std::string& engine() const override;
  /// Tensors as product.h orders them.
  void run(Device& device, std::span<void* const> tensors, void* workspace, Stream stream) const;

 private:
  ConvolutionSpec spec_;
  std::size_t workspace_bytes_ = 0;
};

/// Whether kDirectEngine can run a product: 3 × 3, padding 1, bf16 or f16, the channels and strides of
/// kernels/cuda/direct_convolution.h, nothing fused, rows that fit a block's shared memory.
bool fits_direct_engine(const ProductSpec& spec);

}  // namespace athanor::cuda
