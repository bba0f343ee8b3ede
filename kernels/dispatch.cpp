// Which table of kernels belongs to which instruction set. The tables are defined in kernels/cpu/, once for each.
#include "kernels/batch_norm.h"
#include "kernels/batch_norm_synchronized.h"
#include "kernels/channel_ops.h"
#include "kernels/copy_window.h"
#include "kernels/dropout.h"
#include "kernels/elementwise.h"
#include "kernels/fold_batch_norm.h"
#include "kernels/group_norm.h"
#include "kernels/losses.h"
#include "kernels/pool2d.h"
#include "kernels/prepare_input.h"
#include "kernels/reduce.h"
#include "kernels/winograd.h"
#include "kernels/winograd_weights.h"

#define ATHANOR_KERNEL_FAMILY(Table, family)               \
  namespace athanor::kernels {                             \
  namespace baseline {                                     \
  extern const Table family##_table;                       \
  }                                                        \
  namespace avx2 {                                         \
  extern const Table family##_table;                       \
  }                                                        \
  namespace avx512 {                                       \
  extern const Table family##_table;                       \
  }                                                        \
  const Table& family##_kernels(Isa isa) {                 \
    if (isa == Isa::avx512) return avx512::family##_table; \
    if (isa == Isa::avx2) return avx2::family##_table;     \
    return baseline::family##_table;                       \
  }                                                        \
  }

ATHANOR_KERNEL_FAMILY(BatchNormKernels, batch_norm)
ATHANOR_KERNEL_FAMILY(BatchNormSynchronizedKernels, batch_norm_synchronized)
ATHANOR_KERNEL_FAMILY(ChannelKernels, channel)
ATHANOR_KERNEL_FAMILY(CopyKernels, copy)
ATHANOR_KERNEL_FAMILY(DropoutKernels, dropout)
ATHANOR_KERNEL_FAMILY(ElementwiseKernels, elementwise)
ATHANOR_KERNEL_FAMILY(FoldKernels, fold)
ATHANOR_KERNEL_FAMILY(GroupNormKernels, group_norm)
ATHANOR_KERNEL_FAMILY(LossKernels, loss)
ATHANOR_KERNEL_FAMILY(Pool2dKernels, pool2d)
ATHANOR_KERNEL_FAMILY(PrepareInputKernels, prepare_input)
ATHANOR_KERNEL_FAMILY(ReduceKernels, reduce)
ATHANOR_KERNEL_FAMILY(WinogradKernels, winograd)
ATHANOR_KERNEL_FAMILY(WinogradWeightsKernels, winograd_weights)
