// Max and average pooling over windows, forward and backward, in every layout. Semantics are PyTorch's (no ceil mode).
#pragma once

#include "base/dtype.h"
#include "kernels/channel_view.h"
#include "kernels/isa.h"

namespace athanor::kernels {

/// Pixels are H · W of the input and OH · OW of the output, OH = (H + 2 · pad_y − kernel_y) / stride_y + 1.
/// Channel padding of a blocked layout holds zeros and stays zero.
struct Pool2d {
  ChannelView input;  ///< the output has the same groups and lanes
  DType dtype = DType::f32;
  std::int64_t height = 0, width = 0;
  std::int64_t out_height = 0, out_width = 0;
  std::int64_t kernel_y = 1, kernel_x = 1;
  std::int64_t stride_y = 1, stride_x = 1;
  std::int64_t pad_y = 0, pad_x = 0;
  bool count_include_pad = true;  ///< average: whether padding counts as elements
  int threads = 1;
};

/// The winner's place in its window, ky · kernel_x + kx, laid out as the output.
using PoolIndex = std::int32_t;

struct Pool2dKernels {
  /// Ties: the first in scan order wins; NaN wins over all; padding is −∞. `indices` may be null (inference).
  void (*max_pool)(const Pool2d&, const void* x, void* y, PoolIndex* indices);
  void (*max_pool_backward)(const Pool2d&, const void* dy, const PoolIndex* indices, void* dx);
  void (*avg_pool)(const Pool2d&, const void* x, void* y);
  void (*avg_pool_backward)(const Pool2d&, const void* dy, void* dx);
};

const Pool2dKernels& pool2d_kernels(Isa isa = active_isa());

}  // namespace athanor::kernels
