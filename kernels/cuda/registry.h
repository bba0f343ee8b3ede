// All kernels for GPUs, as a list of their argument structs. A kernel is launched by the position of its struct here,
// so that the framework links against none of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/cuda/batch_norm.h"
#include "kernels/cuda/bias.h"
#include "kernels/cuda/channel_ops.h"
#include "kernels/cuda/copy_window.h"
#include "kernels/cuda/direct_convolution.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/group_norm.h"
#include "kernels/cuda/guard.h"
#include "kernels/cuda/losses.h"
#include "kernels/cuda/optimizer.h"
#include "kernels/cuda/pool2d.h"
#include "kernels/cuda/prepare_input.h"
#include "kernels/cuda/progress.h"
#include "kernels/cuda/random.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/reorder.h"

namespace athanor::kernels::cuda {

template <typename... Arguments>
struct KernelList {
  static constexpr std::size_t kCount = sizeof...(Arguments);
};

/// One line a family.
// clang-format off
using AllKernels = KernelList<
    Add, Activate, ActivateBackward, Cast,
    Reorder,
    PrepareInput,
    CopyWindow,
    Dropout,
    GlobalAvgPool, GlobalAvgPoolBackward, ChannelScale, ChannelScaleBackward,
    BiasActivation, ColumnSums,
    DirectConvolution, DirectConvolutionWeights,
    OptimizerPass, UpdateStatistics, Guard, TreeAdd, SumOfSquares, IsFinite, HashBlocks, Swap,
    StoreSequence, StampTime,
    BatchNorm, BatchNormInference, BatchNormBackward,
    BatchNormMoments, BatchNormCombine, BatchNormSums, BatchNormInputGradient,
    MaxPool, MaxPoolBackward, AvgPool, AvgPoolBackward,
    GroupNorm, GroupNormBackward,
    Softmax, SoftmaxBackward, CrossEntropy, CrossEntropyBackward, MeanLoss, MeanLossBackward, OneHot, CountCorrect>;
// clang-format on

using KernelId = std::uint16_t;

template <typename Wanted, typename... Arguments>
constexpr KernelId position_in(KernelList<Arguments...>) {
  KernelId position = 0;
  const bool found = ((std::is_same_v<Wanted, Arguments> || (++position, false)) || ...);
  return found ? position : static_cast<KernelId>(0xffff);
}

template <typename Arguments>
constexpr KernelId id_of() {
  constexpr KernelId position = position_in<Arguments>(AllKernels{});
  static_assert(position != 0xffff, "the kernel is not in kernels/cuda/registry.h");
  return position;
}

/// A kernel's launcher; `stream`: a cudaStream_t, or whatever the emulation gives. Filled by kernels/cuda/table.cu.
using Launcher = void (*)(const void* arguments, void* stream);
Launcher launcher_of(KernelId kernel);
const char* name_of(KernelId kernel);

}  // namespace athanor::kernels::cuda
