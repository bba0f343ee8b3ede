// Element-wise kernels for GPUs.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace athanor::kernels::cuda {

/// y = first + second. 16-byte alignment. dtype f32, bf16 or f16.
struct Add {
  DType dtype = DType::f32;
  const void* first = nullptr;
  const void* second = nullptr;
  void* y = nullptr;
  std::int64_t count = 0;
};

}  // namespace athanor::kernels::cuda
