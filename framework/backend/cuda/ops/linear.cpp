// linear and its gradients on a GPU: cuBLASLt products of plain matrices.
#include <algorithm>

#include "backend/cuda/ops/product_op.h"
#include "base/error.h"
#include "graph/op.h"
#include "kernels/cuda/bias.h"

namespace athanor::cuda {
namespace {

constexpr std::string_view kMatmul = "matmul", kMatmulBias = "matmul+bias", kMatmulBiasRelu = "matmul+bias+relu";

MatmulSpec typed_matmul(MatmulSpec spec, DType type, Precision precision) {
  spec.type = type;
  spec.tf32 = precision.tf32 && type == DType::f32;
  return spec;
}

/// y [N, F] = x [N, I] · weight [F, I]ᵀ.
MatmulSpec linear_forward_spec(const Graph& graph, const Node& node, Precision precision) {
  const Value &x = graph.value(node.inputs[0]), &weight = graph.value(node.inputs[1]);
  return typed_matmul({.m = x.shape[0], .n = weight.shape[0], .k = x.shape[1], .transpose_b = true, .output = x.dtype},
                      x.dtype, precision);
}

/// dx [N, I] = dy [N, F] · weight [F, I].
MatmulSpec linear_backward_data_spec(const Graph& graph, const Node& node, Precision precision) {
  const Value &dy = graph.value(node.inputs[0]), &weight = graph.value(node.inputs[1]);
  return typed_matmul({.m = dy.shape[0], .n = weight.shape[1], .k = dy.shape[1], .output = dy.dtype}, dy.dtype,
                      precision);
}

/// dweight [F, I] = dy [N, F]ᵀ · x [N, I], in float32.
MatmulSpec linear_backward_weights_spec(const Graph& graph, const Node& node, Precision precision) {
  const Value &x = graph.value(node.inputs[0]), &dy = graph.value(node.inputs[1]);
  return typed_matmul({.m = dy.shape[1], .n = x.shape[1], .k = x.shape[0], .transpose_a = true, .output = DType::f32},
                      x.dtype, precision);
}

Rows output_rows(const MatmulSpec& spec) {
  return {.samples = spec.m, .pixels = 1, .channels = spec.n};
}

NodeChoice linear_choice(const CudaChooseContext& context, const MatmulSpec& spec, const ChosenEngine& chosen,
                         std::string_view algorithm) {
  NodeChoice choice = choose_plain(context, ops::product_implementation(spec, chosen));
  choice.scratch_bytes = chosen.workspace_bytes;
  choice.algorithm = algorithm;
  return choice;
}

/// cuBLASLt takes a bias of y's type, and biases are float32.
Epilogue linear_epilogue(const Node& node, const MatmulSpec& spec) {
  if (spec.output != DType::f32 || !ops::wants_bias(node)) return Epilogue::none;
  return has_relu(node) ? Epilogue::bias_relu : Epilogue::bias;
}

NodeChoice choose_linear_forward(const CudaChooseContext& context) {
  MatmulSpec spec = linear_forward_spec(context.graph, context.node, context.precision);
  spec.epilogue = linear_epilogue(context.node, spec);
  if (spec.epilogue != Epilogue::none) {
    if (const ChosenEngine* fused = context.engines.choose(spec))
      return linear_choice(context, spec, *fused, spec.epilogue == Epilogue::bias ? kMatmulBias : kMatmulBiasRelu);
    spec.epilogue = Epilogue::none;
  }
  return linear_choice(context, spec, ops::required_engine(context, spec), kMatmul);
}

Step prepare_linear_forward(const CudaBinding& b) {
  MatmulSpec spec = linear_forward_spec(b.graph, b.node, b.precision);
  std::vector<void*> tensors{b.inputs[0], b.inputs[1], b.outputs[0]};
  if (b.algorithm != kMatmul) {
    spec.epilogue = linear_epilogue(b.node, spec);
    ATHANOR_CHECK(b.algorithm == (spec.epilogue == Epilogue::bias ? kMatmulBias : kMatmulBiasRelu),
                  "layer {}: linear is planned as {}", b.node.layer, b.algorithm);
    tensors.push_back(b.inputs[2]);
    return ops::run_product(b, spec, std::move(tensors), b.scratch);
  }
  return ops::in_order(
      {ops::run_product(b, spec, std::move(tensors), b.scratch),
       ops::add_bias(b, spec.output, output_rows(spec), b.outputs[0], b.input<float>(2), has_relu(b.node))});
}

NodeChoice choose_linear_backward_data(const CudaChooseContext& context) {
  const MatmulSpec spec = linear_backward_data_spec(context.graph, context.node, context.precision);
  return linear_choice(context, spec, ops::required_engine(context, spec), kMatmul);
}

Step prepare_linear_backward_data(const CudaBinding& b) {
  const MatmulSpec spec = linear_backward_data_spec(b.graph, b.node, b.precision);
  return ops::run_product(b, spec, {b.inputs[0], b.inputs[1], b.outputs[0]}, b.scratch);
}

/// dy as rows that the bias's gradient sums.
Rows gradient_rows(const MatmulSpec& spec) {
  return {.samples = spec.k, .pixels = 1, .channels = spec.m};
}

NodeChoice choose_linear_backward_weights(const CudaChooseContext& context) {
  const MatmulSpec spec = linear_backward_weights_spec(context.graph, context.node, context.precision);
  const ChosenEngine& chosen = ops::required_engine(context, spec);
  NodeChoice choice = linear_choice(context, spec, chosen, kMatmul);
  choice.beside = ops::leaves_room(chosen);
  if (context.has_output(1)) {
    choice.scratch_bytes =
        std::max(choice.scratch_bytes, kernels::cuda::column_sums_scratch_bytes(spec.type, spec.k, spec.m));
  }
  return choice;
}

Step prepare_linear_backward_weights(const CudaBinding& b) {
  const MatmulSpec spec = linear_backward_weights_spec(b.graph, b.node, b.precision);
  std::vector<Step> steps{ops::run_product(b, spec, {b.inputs[1], b.inputs[0], b.outputs[0]}, b.scratch)};
  if (b.has_output(1))
    steps.push_back(ops::sum_columns(b, spec.type, gradient_rows(spec), b.inputs[1], b.output<float>(1), b.scratch));
  return ops::in_order(std::move(steps));
}

const RegisterCudaOp kLinearForward{"linear", {choose_linear_forward, prepare_linear_forward}};
const RegisterCudaOp kLinearBackwardData{"linear_backward_data",
                                         {choose_linear_backward_data, prepare_linear_backward_data}};
const RegisterCudaOp kLinearBackwardWeights{"linear_backward_weights",
                                            {choose_linear_backward_weights, prepare_linear_backward_weights}};

}  // namespace
}  // namespace athanor::cuda
