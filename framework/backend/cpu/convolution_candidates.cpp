#include "backend/cpu/convolution_candidates.h"

#include <fmt/format.h>

#include "backend/cpu/onednn.h"
#include "backend/cpu/winograd_candidates.h"
#include "base/error.h"

namespace athanor::cpu {

ProductCandidate candidate_of(const Convolution& conv, const ConvolutionPrimitive& made) {
  ProductCandidate candidate = candidate_of(conv.direction, static_cast<const ProductPrimitive&>(made));
  candidate.algorithm = name_of(made.algorithm);
  candidate.x_layout = made.x_layout;
  candidate.weight_layout = made.weight_layout;
  candidate.y_layout = made.y_layout;
  return candidate;
}

std::vector<ProductCandidate> planner_candidates(const Convolution& wanted) {
  ATHANOR_CHECK(!wanted.statistics && !wanted.normalized, "{} is chosen without what is fused into it", wanted.key());
  const TeamSize team(wanted.threads);
  const auto by_rule = choose_convolution(wanted);
  if (by_rule == nullptr) return {};
  std::vector<ProductCandidate> candidates{candidate_of(wanted, *by_rule)};
  if (!fits_winograd(wanted)) return candidates;
  Convolution conv = wanted;
  conv.algorithm = ConvolutionAlgorithm::winograd;
  const auto made = make_convolution(conv, by_rule->x_layout, by_rule->y_layout);
  if (made != nullptr) candidates.push_back(candidate_of(conv, *made));
  for (ProductCandidate& own : winograd_candidates(conv, by_rule->x_layout, by_rule->y_layout))
    candidates.push_back(std::move(own));
  return candidates;
}

std::string name_of(const ProductCandidate& candidate) {
  return fmt::format("{} {}", candidate.algorithm, candidate.implementation);
}

}  // namespace athanor::cpu
