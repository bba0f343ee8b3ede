// The library products of the emulated device: convolutions and matrix products by plain loops, summed in double.
#pragma once

#include <span>

#include "backend/cuda/product.h"

namespace athanor::testing {

/// Computes a product on host memory; tensors as product.h orders them.
void compute_product(const cuda::ProductSpec& spec, std::span<void* const> tensors);

}  // namespace athanor::testing
