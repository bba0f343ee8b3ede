// Pad, crop, concat, split and the option-A shortcut on a GPU, forward and backward: one strided copy with zero fill.
#pragma once

#include "kernels/copy_window.h"

namespace athanor::kernels::cuda {

/// What kernels/copy_window.h says, for views with channels innermost (groups = 1); dtype f32, bf16 or f16.
struct CopyWindow {
  WindowCopy window;
};

}  // namespace athanor::kernels::cuda
