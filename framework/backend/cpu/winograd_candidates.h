// Our own kernels of Winograd's algorithm as the planner sees them.
#pragma once

#include <vector>

#include "backend/cpu/convolution.h"
#include "backend/cpu/product_candidate.h"

namespace athanor::cpu {

/// Whether F(4×4, 3×3) computes it: float32, windows of 3×3 that move by 1. In fewer bits its transforms would cost too
/// much accuracy.
bool fits_winograd(const Convolution& convolution);

/// Those for activations in the given layouts: one in the blocked layout, where blocks fill the channels. It reads and
/// writes weights in the layout in which oneDNN's direct forward reads them, in every direction.
std::vector<ProductCandidate> winograd_candidates(const Convolution& convolution, const Layout& x, const Layout& y);

/// Whether it is one of those: they alone can sum their output on the way (Convolution::statistics).
bool is_winograd_kernel(const ProductCandidate& candidate);

}  // namespace athanor::cpu
