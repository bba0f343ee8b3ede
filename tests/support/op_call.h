// The reference lists an op's inputs and attributes as mathematics has them; the graph wants every optional input in
// its place and every attribute filled in. This is the bridge between the two.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "config/attributes.h"
#include "reference/reference.h"

namespace athanor::testing {

/// One node of the graph: `inputs` in the op's order, nothing where an optional one is absent.
struct OpCall {
  std::string op;
  Attributes attributes;
  std::vector<std::optional<reference::Tensor>> inputs;
  std::uint64_t seed = 0;  ///< of the run, for ops that draw random numbers
};

/// The node that a case of the reference describes.
OpCall op_call(const std::string& op, const reference::Case& given);

/// The element type of an operand when activations, and the weights of products, are of type `compute`.
DType operand_dtype(const std::string& op, std::size_t index, DType compute);
/// Whether an operand is an image [N, C, H, W] that a back end may hold in a layout of its own.
bool is_image(const std::string& op, std::size_t index, const reference::Tensor& operand);

/// The case with every operand rounded to what a graph of that type is given.
reference::Case rounded_operands(const std::string& op, reference::Case given, DType compute);
reference::Tensor rounded(reference::Tensor tensor, DType dtype);

/// Outputs of the graph's op as the reference has them: max_pool2d's index is the place in the window here, in the
/// image there.
void to_reference_outputs(const OpCall& call, std::vector<reference::Tensor>& outputs);

}  // namespace athanor::testing
