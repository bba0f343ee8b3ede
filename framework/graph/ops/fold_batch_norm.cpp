// A batch norm with running statistics as weights and a bias of the convolution before it: what
// graph/passes/fold_batch_norm.h puts in. It reads parameters and statistics alone.
#include "graph/ops/support.h"

namespace athanor {
namespace {

/// weight [O, …], gamma, beta, running_mean, running_var, (bias), all float32 and but the first [O] → weight · s of the
/// dtype and beta + (bias − running_mean) · s, s = gamma / √(running_var + eps) of the channel.
std::vector<TensorType> infer_fold(const InferContext& context) {
  const Shape& weight = context.shape(0);
  for (std::size_t i = 1; i < context.inputs.size(); ++i) {
    if (context.has(i) && !(context.shape(i) == Shape{weight[0]})) {
      throw ShapeMismatch{fmt::format("{} does not fit weights {}", context.shape(i).text(), weight.text())};
    }
  }
  const bool is_half = context.attributes.text("dtype") == name_of(DType::bf16);
  return {{weight, is_half ? DType::bf16 : DType::f32}, {{weight[0]}, DType::f32}};
}

const RegisterOp kFold{{
    .name = "fold_batch_norm",
    .attributes = {real("eps", 1e-5, "Added to the variance.").above(0),
                   text("dtype", std::string(name_of(DType::f32)), "Element type of the weights that come out.")
                       .one_of({std::string(name_of(DType::f32)), std::string(name_of(DType::bf16))})},
    .infer = infer_fold,
    .flops = ops::per_output_element(1),
    .no_gradient = "it is for evaluation",
}};

}  // namespace
}  // namespace athanor
