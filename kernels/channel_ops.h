// Per-channel products and means: squeeze-and-excitation's scale (Hu et al. 2018) and the global average pool.
#pragma once

#include "base/dtype.h"
#include "kernels/channel_view.h"
#include "kernels/isa.h"

namespace athanor::kernels {

/// x, y, dy, dx: `view`; s, ds and pooled values: [N, channels], dense; all of `dtype` (f32 or bf16).
struct ChannelOp {
  ChannelView view;
  DType dtype = DType::f32;
  std::int64_t channels = 0;  ///< channels in use; those beyond are layout padding, written as 0. 0: all of view's
  int threads = 1;
};

struct ChannelKernels {
  /// y = x · s[n, c]; y may be x.
  void (*scale)(const ChannelOp&, const void* x, const void* s, void* y);
  /// dx = dy · s[n, c], ds[n, c] = Σ dy · x; dx may be dy or x; dx or ds may be null.
  void (*scale_backward)(const ChannelOp&, const void* dy, const void* x, const void* s, void* dx, void* ds);
  /// y[n, c] = mean of x over the pixels.
  void (*global_avg_pool)(const ChannelOp&, const void* x, void* y);
  /// dx = dy[n, c] / pixels.
  void (*global_avg_pool_backward)(const ChannelOp&, const void* dy, void* dx);
};

const ChannelKernels& channel_kernels(Isa isa = active_isa());

}  // namespace athanor::kernels
