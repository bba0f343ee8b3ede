// Gradient of the weights of a 3×3 convolution (stride 1, dilation 1, one group) by Winograd's F(4×4, 3×3): tiles of
// 6×6 of the input meet tiles of 4×4 of the output's gradient in 36 products instead of 144 (Lavin and Gray 2015,
// sections 4.1 to 4.3, transposed). About a third of the time of direct summation, for one to three times its rounding
// error.
#pragma once

#include <cstddef>

#include "kernels/isa.h"
#include "kernels/winograd.h"

namespace athanor::kernels {

/// Bytes of `scratch` (64-byte aligned), for any instruction set.
std::size_t winograd_weights_scratch_bytes(const WinogradShape& shape, int threads);

/// dweight[o, i, r, s] = Σ over n, y, x of dy[n, o, y, x] · x'[n, i, y + r − pad_top, x + s − pad_left], float32.
/// The bits depend on the instruction set and on `threads`.
struct WinogradWeightGradient {
  WinogradShape shape;              ///< of the forward pass
  const float* x = nullptr;         ///< [N, I/w, H, W, w], w the vector width of the kernels: 16, 8 or 4
  const float* in_scale = nullptr;  ///< [I] or null; then x' = x · in_scale + in_shift inside the image, 0 outside
  const float* in_shift = nullptr;  ///< [I]; null with in_scale
  bool in_relu = false;             ///< x' = max(x · in_scale + in_shift, 0); only with in_scale
  const float* dy = nullptr;        ///< [N, O/w, OH, OW, w]
  float* dweight = nullptr;         ///< [O/w, I/w, 3, 3, w (of I), w (of O)]
  float* dbias = nullptr;           ///< [O]: Σ dy; or null
  void* scratch = nullptr;
  int threads = 1;
};

struct WinogradWeightsKernels {
  void (*gradient)(const WinogradWeightGradient&);
};

const WinogradWeightsKernels& winograd_weights_kernels(Isa isa = active_isa());

}  // namespace athanor::kernels
