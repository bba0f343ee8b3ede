// A convolution of oneDNN beside a batch norm, some images at a time: the norm's sums are made of what it has just
// written, while that is in the cache, instead of by another pass over memory.
#pragma once

#include <optional>
#include <string>

#include "backend/cpu/convolution.h"
#include "backend/cpu/convolution_choices.h"
#include "backend/cpu/product_candidate.h"

namespace athanor::cpu {

/// What runs a convolution alone, as a plan says it.
struct WholeProduct {
  std::string algorithm, implementation;
  Layout x, weight, y;
};

/// `convolution` has statistics and is the forward pass or the gradient of the input. Every slice runs on what its
/// whole batch would: an implementation of oneDNN in certain layouts. Nothing where the whole batch would be one slice,
/// or where that implementation does not take fewer images. How many a slice has does not depend on the machine's
/// caches.
std::optional<ProductCandidate> sliced_candidate(const Convolution& convolution, const WholeProduct& whole);

/// What runs a convolution with what is fused into it, where `choices` has chosen the kernel of the convolution alone:
/// our own does it all, oneDNN's in slices. Nothing where neither can.
std::optional<ProductCandidate> fused_candidate(const Convolution& convolution, ConvolutionChoices& choices,
                                                bool measures);

}  // namespace athanor::cpu
