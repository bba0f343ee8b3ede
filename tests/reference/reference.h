// The mathematics that every backend is tested against: each op of the graph, naive, in double precision, forward and
// backward, found by the op's name. Nothing here is fast and nothing is shared with the framework's own kernels.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "config/attributes.h"
#include "reference/tensor.h"

namespace athanor::reference {

/// One set of attributes and inputs that an op accepts.
struct Case {
  Attributes attributes;
  std::vector<Tensor> inputs;
};

/// One op. Inputs and outputs stand in the op's own order; optional inputs (bias, residual, class weights) are given by
/// standing at the end of the list. Attributes that are missing take the op's default.
struct ReferenceOp {
  std::string name;

  std::function<std::vector<Result>(const std::vector<Tensor>& inputs, const Attributes& attributes)> forward;

  /// The gradient of sum(output_gradient * outputs[0]) by each input; nothing for inputs that have none (labels,
  /// indices). Everything is computed from the inputs, so that bounds cover the rounding of values saved by the forward
  /// op. Empty for ops that are not differentiated, such as the *_backward ops. Only output 0 of an op has a gradient.
  std::function<std::vector<std::optional<Result>>(const std::vector<Tensor>& inputs, const Tensor& output_gradient,
                                                   const Attributes& attributes)>
      backward;

  /// A random case: odd sizes, 1x1, batch 1, stride > kernel, dilation, groups, channels on and off multiples of 8 and
  /// 16. Inputs keep away from kinks and ties, so that finite differences and float32 agree with the reference.
  std::function<Case(RandomStream& stream)> random_case;
};

/// The reference of an op, or nullptr.
const ReferenceOp* find_reference(std::string_view name);
/// All of them, in the order of the families.
const std::vector<ReferenceOp>& reference_ops();
/// A random case of an op that has a reference.
Case random_case(std::string_view name, RandomStream& stream);

/// The attribute, or what the op's schema says when it is not given.
template <typename T>
T attribute_or(const Attributes& attributes, std::string_view name, T otherwise) {
  return attributes.find(name) == nullptr ? otherwise : attributes.get<T>(name);
}

}  // namespace athanor::reference
