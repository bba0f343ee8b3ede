// What may run a convolution in a plan.
#pragma once

#include <string_view>
#include <vector>

#include "backend/cpu/convolution.h"
#include "backend/cpu/product_candidate.h"

namespace athanor::cpu {

/// A made primitive of oneDNN under the names that a plan gives it.
ProductCandidate candidate_of(const Convolution& convolution, const ConvolutionPrimitive& made);

/// First what the rule takes (choose_convolution), then every Winograd for its layouts of activations, so that a choice
/// among them adds no reorder. Empty where oneDNN has nothing. For a team of convolution.threads.
std::vector<ProductCandidate> planner_candidates(const Convolution& convolution);

/// "direct", "winograd onednn:jit_wino_4x3:avx512_core": an algorithm and its implementation, in a word.
std::string name_of(const ProductCandidate& candidate);

}  // namespace athanor::cpu
