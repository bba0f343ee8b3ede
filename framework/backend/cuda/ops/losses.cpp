// Softmax, the losses and what is counted beside them on GPUs, over plain matrices.
#include "kernels/cuda/losses.h"

#include "backend/cuda/op.h"
#include "base/error.h"

namespace athanor::cuda {
namespace {

using kernels::cuda::RowMatrix;

/// All plain; with scratch memory for a term of each row.
std::function<NodeChoice(const CudaChooseContext&)> row_kernel(std::string name) {
  return [name = std::move(name)](const CudaChooseContext& context) {
    NodeChoice choice = choose_plain(context, own_implementation(name));
    choice.scratch_bytes = kernels::cuda::loss_scratch_bytes(context.input(0).shape[0]);
    return choice;
  };
}

/// A value as rows, one a sample.
RowMatrix matrix_of(const Value& value) {
  return {.dtype = value.dtype, .rows = value.shape[0], .columns = value.shape.elements() / value.shape[0]};
}

Step prepare_softmax(const CudaBinding& b) {
  const kernels::cuda::Softmax args{.matrix = matrix_of(b.input_value(0)), .x = b.inputs[0], .y = b.outputs[0]};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

Step prepare_softmax_backward(const CudaBinding& b) {
  const kernels::cuda::SoftmaxBackward args{
      .matrix = matrix_of(b.input_value(0)), .dy = b.inputs[0], .y = b.inputs[1], .dx = b.outputs[0]};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

Step prepare_cross_entropy(const CudaBinding& b) {
  const kernels::cuda::CrossEntropy args{
      .matrix = matrix_of(b.input_value(0)),
      .logits = b.inputs[0],
      .labels = b.input<std::int32_t>(1),
      .class_weights = b.input<float>(2),
      .label_smoothing = static_cast<float>(b.node.attributes.real("label_smoothing")),
      .loss = b.output<float>(0),
      .sample_loss = b.output<float>(1),
      .scratch = b.scratch};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

Step prepare_cross_entropy_backward(const CudaBinding& b) {
  const kernels::cuda::CrossEntropyBackward args{
      .matrix = matrix_of(b.input_value(1)),
      .scale = {.dloss = b.input<float>(0), .loss_scale = b.loss_scale},
      .logits = b.inputs[1],
      .labels = b.input<std::int32_t>(2),
      .class_weights = b.input<float>(3),
      .label_smoothing = static_cast<float>(b.node.attributes.real("label_smoothing")),
      .dlogits = b.outputs[0]};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

void want_target_type(const CudaBinding& b, std::size_t x, std::size_t target) {
  ATHANOR_CHECK(b.input_value(x).dtype == b.input_value(target).dtype, "layer {}: output and target differ in type",
                b.node.layer);
}

struct RegisterCudaMeanLoss {
  RegisterCudaMeanLoss(const std::string& name, kernels::cuda::MeanLossKind kind) {
    RegisterCudaOp(name, {row_kernel(name), [kind](const CudaBinding& b) -> Step {
                            want_target_type(b, 0, 1);
                            const kernels::cuda::MeanLoss args{.matrix = matrix_of(b.input_value(0)),
                                                               .kind = kind,
                                                               .x = b.inputs[0],
                                                               .target = b.inputs[1],
                                                               .loss = b.output<float>(0),
                                                               .sample_loss = b.output<float>(1),
                                                               .scratch = b.scratch};
                            return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
                          }});
    RegisterCudaOp(name + "_backward", {row_kernel(name + "_backward"), [kind](const CudaBinding& b) -> Step {
                                          want_target_type(b, 1, 2);
                                          const kernels::cuda::MeanLossBackward args{
                                              .matrix = matrix_of(b.input_value(1)),
                                              .kind = kind,
                                              .scale = {.dloss = b.input<float>(0), .loss_scale = b.loss_scale},
                                              .x = b.inputs[1],
                                              .target = b.inputs[2],
                                              .dx = b.outputs[0]};
                                          return [args, &device = b.device](Stream stream) {
                                            launch(device, args, stream);
                                          };
                                        }});
  }
};

Step prepare_one_hot(const CudaBinding& b) {
  const Shape& shape = b.output_value(0).shape;
  const kernels::cuda::OneHot args{
      .rows = shape[0], .classes = shape[1], .labels = b.input<std::int32_t>(0), .target = b.output<float>(0)};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

Step prepare_count_correct(const CudaBinding& b) {
  const kernels::cuda::CountCorrect args{.matrix = matrix_of(b.input_value(0)),
                                         .logits = b.inputs[0],
                                         .labels = b.input<std::int32_t>(1),
                                         .counts = b.output<float>(0),
                                         .ranks = b.output<std::int32_t>(1),
                                         .scratch = b.scratch};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

const RegisterCudaOp kSoftmax{"softmax", {row_kernel("softmax"), prepare_softmax}};
const RegisterCudaOp kSoftmaxBackward{"softmax_backward", {row_kernel("softmax_backward"), prepare_softmax_backward}};
const RegisterCudaOp kCrossEntropy{"cross_entropy", {row_kernel("cross_entropy"), prepare_cross_entropy}};
const RegisterCudaOp kCrossEntropyBackward{"cross_entropy_backward",
                                           {row_kernel("cross_entropy_backward"), prepare_cross_entropy_backward}};
const RegisterCudaMeanLoss kMse{"mse_loss", kernels::cuda::MeanLossKind::squared_error};
const RegisterCudaMeanLoss kBce{"bce_with_logits", kernels::cuda::MeanLossKind::binary_cross_entropy_with_logits};
const RegisterCudaOp kOneHot{"one_hot", {row_kernel("one_hot"), prepare_one_hot}};
const RegisterCudaOp kCountCorrect{"count_correct", {row_kernel("count_correct"), prepare_count_correct}};

}  // namespace
}  // namespace athanor::cuda
