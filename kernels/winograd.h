// 3×3 convolution of stride 1 by Winograd's F(4×4, 3×3) (Lavin and Gray 2015): the forward pass and the gradient of the
// input, with what stands before and after them in a network done on the way. Tiles of 4×4 outputs are made of 36
// products a pair of channels instead of 144. The gradient of the weights has a header of its own.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"

namespace athanor::kernels {

/// Vectors hold the channels: x is [N, C / v, H, W, v] and y [N, O / v, out_height, out_width, v], v floats being a
/// vector of the instruction set (nChw16c with AVX-512, nChw8c with AVX2); C and O are multiples of v. Pixels of x
/// outside [0, height) × [0, width) are zeros, so that padding below and on the right follows from the output's size.
struct WinogradShape {
  std::int64_t batch = 0;
  std::int64_t in_channels = 0;   ///< C of what is read
  std::int64_t out_channels = 0;  ///< O of what is written
  std::int64_t height = 0;        ///< of what is read
  std::int64_t width = 0;
  std::int64_t out_height = 0;  ///< of what is written
  std::int64_t out_width = 0;
  std::int64_t pad_top = 0;  ///< y[0][0] reads x from row −pad_top and column −pad_left on
  std::int64_t pad_left = 0;
};

/// What a batch norm's backward pass begins with, where y is the gradient of what it wrote: y is 0 where that was ≤ 0,
/// and the call's `sums` are Σ y and Σ y · (x − mean). All arrays are as y, or [O].
struct WinogradNormGradient {
  const float* x = nullptr;       ///< what the norm read; null: there is none
  const float* mean = nullptr;    ///< wherever x is
  const float* output = nullptr;  ///< what it wrote through its ReLU; or null
  const float* scale = nullptr;   ///< without `output`: it wrote relu(x · scale + shift); null: there is no ReLU
  const float* shift = nullptr;
};

/// y = relu(conv(in(x), w) + bias + residual), in(x) = relu(x · in_scale + in_shift) within the image and 0 outside.
/// Weights: float32 [O / v, C / v, 3, 3, v (C), v (O)], OIhw16i16o or OIhw8i8o. With `turned` they are those of the
/// forward pass, [C / v, O / v, 3, 3, v (O), v (C)], and are read as w[c, o, 2 − i, 2 − j]: with x the gradient of that
/// pass's output and a padding of 2 less its own, y is the gradient of its input.
struct WinogradConvolution {
  WinogradShape shape;
  bool turned = false;
  const float* x = nullptr;
  const float* weight = nullptr;
  const float* in_scale = nullptr;  ///< [C], or null: in(x) = x
  const float* in_shift = nullptr;  ///< [C], wherever in_scale is
  bool in_relu = false;             ///< read only with in_scale
  const float* bias = nullptr;      ///< [O] or null
  const float* residual = nullptr;  ///< as y, or null; may be y
  bool relu = false;
  WinogradNormGradient norm;  ///< with it `bias` and `relu` are not looked at
  float* y = nullptr;
  double* sums = nullptr;   ///< [O, 2], set by this call: Σ y and Σ y² of what is written, or `norm`'s; or null
  void* scratch = nullptr;  ///< winograd_scratch_bytes, aligned to 64 bytes
  int threads = 1;          ///< the bits of y do not depend on it; those of `sums` do
};

struct WinogradKernels {
  void (*convolve)(const WinogradConvolution&);
  std::size_t (*scratch_bytes)(const WinogradShape&, int threads);
};

/// The kernels for an instruction set that this processor has.
const WinogradKernels& winograd_kernels(Isa isa = active_isa());

/// Bytes of `scratch` that convolve needs with these kernels.
inline std::size_t winograd_scratch_bytes(const WinogradShape& shape, int threads, Isa isa = active_isa()) {
  return winograd_kernels(isa).scratch_bytes(shape, threads);
}

}  // namespace athanor::kernels
