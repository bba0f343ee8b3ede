#include "backend/cpu/winograd_candidates.h"

#include <algorithm>
#include <array>

#include "backend/cpu/onednn.h"
#include "kernels/batch_norm.h"
#include "kernels/isa.h"
#include "kernels/winograd.h"
#include "kernels/winograd_weights.h"

namespace athanor::cpu {
namespace {

using kernels::WinogradShape;

/// Floats in a vector of our kernels, which must be the block of the layout.
std::int64_t vector_width() {
  switch (kernels::active_isa()) {
    case kernels::Isa::avx512:
      return 16;
    case kernels::Isa::avx2:
      return 8;
    case kernels::Isa::baseline:
      break;
  }
  return 4;
}

bool is_supported(const Convolution& conv) {
  constexpr std::int64_t kMostPadding = 2;
  const std::int64_t block = block_channels();
  return fits_winograd(conv) && vector_width() == block && conv.x[1] % block == 0 && conv.y[1] % block == 0 &&
         std::max(conv.padding[0], conv.padding[1]) <= kMostPadding;
}

WinogradShape forward_shape(const Convolution& conv) {
  return {.batch = conv.x[0],
          .in_channels = conv.x[1],
          .out_channels = conv.y[1],
          .height = conv.x[2],
          .width = conv.x[3],
          .out_height = conv.y[2],
          .out_width = conv.y[3],
          .pad_top = conv.padding[0],
          .pad_left = conv.padding[1]};
}

/// A convolution of the output's gradient, whose windows lie the other way round.
WinogradShape backward_shape(const Convolution& conv) {
  return {.batch = conv.y[0],
          .in_channels = conv.y[1],
          .out_channels = conv.x[1],
          .height = conv.y[2],
          .width = conv.y[3],
          .out_height = conv.x[2],
          .out_width = conv.x[3],
          .pad_top = 2 - conv.padding[0],
          .pad_left = 2 - conv.padding[1]};
}

/// Channels of what it writes.
std::int64_t written_channels(const Convolution& conv) {
  return conv.direction == Direction::forward ? conv.y[1] : conv.x[1];
}

/// Bytes of the kernel's own scratch; its sums lie behind it, then the scale and shift of a norm.
std::size_t sums_offset(const Convolution& conv) {
  constexpr std::size_t kLine = 64;
  const bool is_forward = conv.direction == Direction::forward;
  const std::size_t bytes =
      kernels::winograd_scratch_bytes(is_forward ? forward_shape(conv) : backward_shape(conv), conv.threads);
  return (bytes + kLine - 1) / kLine * kLine;
}

double* sums_of(const Convolution& conv, const ProductMemory& memory) {
  return conv.statistics ? reinterpret_cast<double*>(static_cast<std::byte*>(memory.scratch) + sums_offset(conv))
                         : nullptr;
}

std::size_t sums_bytes(const Convolution& conv) {
  const auto channels = static_cast<std::size_t>(written_channels(conv));
  const std::size_t factors = conv.direction == Direction::backward_data ? 2 * channels * sizeof(float) : 0;
  return conv.statistics ? 2 * channels * sizeof(double) + factors : 0;
}

void hand_sums_over(const kernels::WinogradConvolution& call, float* sum, float* squares) {
  for (std::int64_t o = 0; o < call.shape.out_channels; ++o) {
    sum[o] = static_cast<float>(call.sums[2 * o]);
    squares[o] = static_cast<float>(call.sums[2 * o + 1]);
  }
}

/// The mask is made of the same bits as what the norm wrote.
Step begin_norm_gradient(const Convolution& conv, const NormMemory& norm, kernels::WinogradConvolution call, float* sum,
                         float* products) {
  const std::int64_t channels = call.shape.out_channels;
  auto* scale = reinterpret_cast<float*>(call.sums + 2 * channels);
  float* shift = scale + channels;
  const bool is_recomputed = conv.input_relu && norm.y == nullptr;
  call.norm = {.x = static_cast<const float*>(norm.x),
               .mean = norm.mean,
               .output = static_cast<const float*>(conv.input_relu ? norm.y : nullptr),
               .scale = is_recomputed ? scale : nullptr,
               .shift = is_recomputed ? shift : nullptr};
  return [call, norm, scale, shift, channels, sum, products, run = kernels::winograd_kernels().convolve] {
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto affine = kernels::norm_affine(norm.gamma, norm.beta, norm.mean[c], norm.inv_std[c], c);
      scale[c] = affine.scale;
      shift[c] = affine.shift;
    }
    run(call);
    hand_sums_over(call, sum, products);
  };
}

Step bind_convolution(const Convolution& conv, const ProductMemory& memory) {
  const bool is_forward = conv.direction == Direction::forward;
  const kernels::WinogradConvolution call{.shape = is_forward ? forward_shape(conv) : backward_shape(conv),
                                          .turned = !is_forward,
                                          .x = static_cast<const float*>(is_forward ? memory.x : memory.y),
                                          .weight = static_cast<const float*>(memory.weight),
                                          .in_scale = static_cast<const float*>(memory.scale),
                                          .in_shift = static_cast<const float*>(memory.shift),
                                          .in_relu = conv.input_relu,
                                          .bias = static_cast<const float*>(memory.bias),
                                          .residual = static_cast<const float*>(!is_forward     ? memory.residual
                                                                                : conv.residual ? memory.y
                                                                                                : nullptr),
                                          .relu = conv.relu,
                                          .y = static_cast<float*>(is_forward ? memory.y : memory.x),
                                          .sums = sums_of(conv, memory),
                                          .scratch = memory.scratch,
                                          .threads = conv.threads};
  const auto run = kernels::winograd_kernels().convolve;
  if (call.sums == nullptr) return [call, run] { run(call); };
  auto *sum = static_cast<float*>(memory.sum), *squares = static_cast<float*>(memory.squares);
  if (!is_forward) return begin_norm_gradient(conv, memory.norm, call, sum, squares);
  return [call, run, sum, squares] {
    run(call);
    hand_sums_over(call, sum, squares);
  };
}

Step bind_weight_gradient(const Convolution& conv, const ProductMemory& memory) {
  const kernels::WinogradWeightGradient call{.shape = forward_shape(conv),
                                             .x = static_cast<const float*>(memory.x),
                                             .in_scale = static_cast<const float*>(memory.scale),
                                             .in_shift = static_cast<const float*>(memory.shift),
                                             .in_relu = conv.input_relu,
                                             .dy = static_cast<const float*>(memory.y),
                                             .dweight = static_cast<float*>(memory.weight),
                                             .dbias = static_cast<float*>(memory.bias),
                                             .scratch = memory.scratch,
                                             .threads = conv.threads};
  return [call, run = kernels::winograd_weights_kernels().gradient] { run(call); };
}

std::size_t bytes_of(const Shape& shape) {
  return static_cast<std::size_t>(shape.elements()) * sizeof(float);
}

}  // namespace

bool fits_winograd(const Convolution& conv) {
  constexpr std::array<std::int64_t, 2> kOne{1, 1};
  return conv.dtype == DType::f32 && conv.weight[2] == 3 && conv.weight[3] == 3 && conv.stride == kOne &&
         conv.dilation == kOne && conv.groups == 1;
}

std::vector<ProductCandidate> winograd_candidates(const Convolution& conv, const Layout& x, const Layout& y) {
  if (x != blocked_layout() || y != blocked_layout() || !is_supported(conv)) return {};
  ProductCandidate made{.direction = conv.direction,
                        .algorithm = std::string(name_of(ConvolutionAlgorithm::winograd)),
                        .implementation = own_implementation("winograd"),
                        .x_layout = x,
                        .weight_layout = block_channels() == 16 ? "OIhw16i16o" : "OIhw8i8o",
                        .y_layout = y};
  made.x_bytes = bytes_of(conv.x);
  made.weight_bytes = bytes_of(conv.weight);
  made.bias_bytes = conv.has_bias ? bytes_of({conv.weight[0]}) : 0;
  made.y_bytes = bytes_of(conv.y);
  if (conv.direction == Direction::backward_weights) {
    made.scratch_bytes = kernels::winograd_weights_scratch_bytes(forward_shape(conv), conv.threads);
    made.bind = [conv](const ProductMemory& memory) { return bind_weight_gradient(conv, memory); };
  } else {
    made.scratch_bytes = sums_offset(conv) + sums_bytes(conv);
    made.bind = [conv](const ProductMemory& memory) { return bind_convolution(conv, memory); };
  }
  return {made};
}

bool is_winograd_kernel(const ProductCandidate& candidate) {
  return candidate.implementation == own_implementation("winograd");
}

}  // namespace athanor::cpu
