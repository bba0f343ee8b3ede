#include "backend/cpu/convolution_candidates.h"

#include <fmt/format.h>

#include "backend/cpu/onednn.h"

namespace athanor::cpu {
namespace {

/// F(4×4, 3×3) is for windows of 3×3 that move by 1; in fewer bits than float32's its transforms cost too much
/// accuracy.
bool fits_winograd(const Convolution& conv) {
  constexpr std::array<std::int64_t, 2> kOne{1, 1};
  return conv.dtype == DType::f32 && conv.weight[2] == 3 && conv.weight[3] == 3 && conv.stride == kOne &&
         conv.dilation == kOne && conv.groups == 1;
}

}  // namespace

ProductCandidate candidate_of(const Convolution& conv, const ConvolutionPrimitive& made) {
  ProductCandidate candidate = candidate_of(conv.direction, static_cast<const ProductPrimitive&>(made));
  candidate.algorithm = name_of(made.algorithm);
  candidate.x_layout = made.x_layout;
  candidate.weight_layout = made.weight_layout;
  candidate.y_layout = made.y_layout;
  return candidate;
}

std::vector<ProductCandidate> planner_candidates(const Convolution& wanted) {
  const TeamSize team(wanted.threads);
  const auto by_rule = choose_convolution(wanted);
  if (by_rule == nullptr) return {};
  std::vector<ProductCandidate> candidates{candidate_of(wanted, *by_rule)};
  if (!fits_winograd(wanted)) return candidates;
  Convolution conv = wanted;
  conv.algorithm = ConvolutionAlgorithm::winograd;
  const auto made = make_convolution(conv, by_rule->x_layout, by_rule->y_layout);
  if (made != nullptr) candidates.push_back(candidate_of(conv, *made));
  for (ProductCandidate& own : own_candidates(conv, by_rule->x_layout, by_rule->y_layout))
    candidates.push_back(std::move(own));
  return candidates;
}

std::vector<ProductCandidate> own_candidates(const Convolution&, const Layout&, const Layout&) {
  return {};
}

std::string name_of(const ProductCandidate& candidate) {
  return fmt::format("{} {}", candidate.algorithm, candidate.implementation);
}

}  // namespace athanor::cpu
