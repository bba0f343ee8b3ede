// Dropout (Srivastava et al. 2014, inverted) and stochastic depth (Huang et al. 2016). The mask is a pure function of
// (seed, key, epoch, sample index, element), so it is never stored: forward and backward are the same call.
#pragma once

#include "base/dtype.h"
#include "kernels/channel_view.h"
#include "kernels/isa.h"

namespace athanor::kernels {

/// y = kept ? x / (1 − rate) : 0. Element e, its index within its sample in logical [C, H, W] order, is kept iff
/// uniform_from(RandomStream(seed ^ key, Purpose::dropout, epoch, sample_indices[n]).block(e / 4)[e % 4]) >= rate.
/// Stochastic depth: Purpose::stochastic_depth and e = 0 for the whole sample.
struct Dropout {
  ChannelView view;
  DType dtype = DType::f32;
  std::int64_t channels = 0;  ///< channels in use; those beyond are layout padding, written as 0. 0: all of view's
  const void* x = nullptr;    ///< x, or dy in the backward pass
  void* y = nullptr;          ///< may be x
  const std::int64_t* sample_indices = nullptr;  ///< [N]
  std::uint64_t seed = 0;
  std::uint64_t key = 0;
  std::uint32_t epoch = 0;
  float rate = 0;  ///< [0, 1)
  int threads = 1;
};

struct DropoutKernels {
  void (*dropout)(const Dropout&);
  void (*stochastic_depth)(const Dropout&);
};

const DropoutKernels& dropout_kernels(Isa isa = active_isa());

}  // namespace athanor::kernels
