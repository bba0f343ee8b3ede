// One edge of the gradient tree.
#pragma once

#include <cstdint>

namespace athanor::kernels::cuda {

/// target = left + right, float32; the target may be one of the two. Any alignment.
struct TreeAdd {
  const float* left = nullptr;
  const float* right = nullptr;
  float* target = nullptr;
  std::int64_t count = 0;
};

}  // namespace athanor::kernels::cuda
