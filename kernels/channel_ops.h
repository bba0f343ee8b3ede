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

/// y = act(x · s[n, c] + shift_factor · shift[n, c] + residual); act is ReLU or nothing.
struct Scale {
  const void* x = nullptr;
  const void* s = nullptr;
  const void* shift = nullptr;  ///< or null
  float shift_factor = 1;
  const void* residual = nullptr;  ///< or null
  void* y = nullptr;               ///< may be x or residual
  bool relu = false;
};

/// dz = dy + dy2 where y > 0, else 0 (all of it without y); ds[n, c] = Σ dz · x over the pixels.
struct ScaleSums {
  const void* dy = nullptr;
  const void* dy2 = nullptr;  ///< or null
  const void* y = nullptr;    ///< or null
  const void* x = nullptr;
  void* dz = nullptr;  ///< or null; may be dy, dy2 or y
  void* ds = nullptr;
};

struct ChannelKernels {
  void (*scale)(const ChannelOp&, const Scale&);
  void (*scale_sums)(const ChannelOp&, const ScaleSums&);
  /// dx = dy · s[n, c], ds[n, c] = Σ dy · x; dx may be dy or x; dx or ds may be null.
  void (*scale_backward)(const ChannelOp&, const void* dy, const void* x, const void* s, void* dx, void* ds);
  /// y[n, c] = mean of x over the pixels.
  void (*global_avg_pool)(const ChannelOp&, const void* x, void* y);
  /// dx = dy[n, c] / pixels.
  void (*global_avg_pool_backward)(const ChannelOp&, const void* dy, void* dx);
};

const ChannelKernels& channel_kernels(Isa isa = active_isa());

}  // namespace athanor::kernels
