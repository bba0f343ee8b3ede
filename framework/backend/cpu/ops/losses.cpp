// Softmax and the losses on the CPU. Logits are small matrices: everything is plain.
#include "kernels/losses.h"

#include "backend/cpu/ops/support.h"
#include "base/error.h"

namespace athanor::cpu {
namespace {

Step prepare_softmax(const Binding& b) {
  const Shape& shape = b.input_value(0).shape;
  return [dtype = b.input_value(0).dtype, rows = shape[0], columns = shape[1], threads = b.threads, x = b.inputs[0],
          y = b.outputs[0], run = kernels::loss_kernels().softmax] { run(dtype, x, y, rows, columns, threads); };
}

Step prepare_softmax_backward(const Binding& b) {
  const Shape& shape = b.input_value(0).shape;
  return [dtype = b.input_value(0).dtype, rows = shape[0], columns = shape[1], threads = b.threads, dy = b.inputs[0],
          y = b.inputs[1], dx = b.outputs[0],
          run = kernels::loss_kernels().softmax_backward] { run(dtype, dy, y, dx, rows, columns, threads); };
}

Step prepare_cross_entropy(const Binding& b) {
  const Value& logits = b.input_value(0);
  const kernels::CrossEntropyForward args{
      .dtype = logits.dtype,
      .batch = logits.shape[0],
      .classes = logits.shape[1],
      .logits = b.inputs[0],
      .labels = b.input<std::int32_t>(1),
      .class_weights = b.input<float>(2),
      .label_smoothing = static_cast<float>(b.node.attributes.real("label_smoothing")),
      .loss = b.output<float>(0),
      .sample_loss = b.output<float>(1)};
  return [args, run = kernels::loss_kernels().cross_entropy] { run(args); };
}

/// The incoming gradient of a loss is one number, known only when the step runs.
Step prepare_cross_entropy_backward(const Binding& b) {
  const Value& logits = b.input_value(1);
  kernels::CrossEntropyBackward args{.dtype = logits.dtype,
                                     .batch = logits.shape[0],
                                     .classes = logits.shape[1],
                                     .logits = b.inputs[1],
                                     .labels = b.input<std::int32_t>(2),
                                     .class_weights = b.input<float>(3),
                                     .label_smoothing = static_cast<float>(b.node.attributes.real("label_smoothing")),
                                     .dlogits = b.outputs[0]};
  return [args, dloss = b.input<float>(0), run = kernels::loss_kernels().cross_entropy_backward]() mutable {
    args.scale = *dloss;
    run(args);
  };
}

using MeanLoss = void (*)(DType, const void*, const void*, std::int64_t, float*);
using MeanLossBackward = void (*)(DType, const void*, const void*, std::int64_t, float, void*);

void want_one_type(const Binding& b, std::size_t x, std::size_t target) {
  ATHANOR_CHECK(b.input_value(x).dtype == b.input_value(target).dtype, "layer {}: output and target differ in type",
                b.node.layer);
}

/// The mean over everything, and the same kernel once more over each sample.
Step prepare_mean_loss(const Binding& b, MeanLoss run) {
  want_one_type(b, 0, 1);
  const Value& x = b.input_value(0);
  const std::int64_t count = x.shape.elements(), samples = x.shape[0];
  const auto sample_bytes = static_cast<std::int64_t>(size_of(x.dtype)) * (count / samples);
  return [run, dtype = x.dtype, count, samples, sample_bytes, output = b.input<const char>(0),
          target = b.input<const char>(1), loss = b.output<float>(0), sample_loss = b.output<float>(1)] {
    run(dtype, output, target, count, loss);
    if (sample_loss == nullptr) return;
    for (std::int64_t n = 0; n < samples; ++n) {
      run(dtype, output + n * sample_bytes, target + n * sample_bytes, count / samples, sample_loss + n);
    }
  };
}

Step prepare_mean_loss_backward(const Binding& b, MeanLossBackward run) {
  want_one_type(b, 1, 2);
  const Value& x = b.input_value(1);
  return [run, dtype = x.dtype, count = x.shape.elements(), dloss = b.input<float>(0), output = b.inputs[1],
          target = b.inputs[2], dx = b.outputs[0]] { run(dtype, output, target, count, *dloss, dx); };
}

Step prepare_one_hot(const Binding& b) {
  const Shape& shape = b.output_value(0).shape;
  return [labels = b.input<std::int32_t>(0), batch = shape[0], classes = shape[1], target = b.output<float>(0),
          run = kernels::loss_kernels().one_hot] { run(labels, batch, classes, target); };
}

const RegisterCpuOp kSoftmax{"softmax", {plain_kernel("softmax"), prepare_softmax}};
const RegisterCpuOp kSoftmaxBackward{"softmax_backward", {plain_kernel("softmax_backward"), prepare_softmax_backward}};
const RegisterCpuOp kCrossEntropy{"cross_entropy", {plain_kernel("cross_entropy"), prepare_cross_entropy}};
const RegisterCpuOp kCrossEntropyBackward{"cross_entropy_backward",
                                          {plain_kernel("cross_entropy_backward"), prepare_cross_entropy_backward}};
const RegisterCpuOp kMse{"mse_loss", {plain_kernel("mse_loss"), [](const Binding& b) {
                                        return prepare_mean_loss(b, kernels::loss_kernels().mse);
                                      }}};
const RegisterCpuOp kMseBackward{"mse_loss_backward", {plain_kernel("mse_loss_backward"), [](const Binding& b) {
                                                         return prepare_mean_loss_backward(
                                                             b, kernels::loss_kernels().mse_backward);
                                                       }}};
const RegisterCpuOp kBce{"bce_with_logits", {plain_kernel("bce_with_logits"), [](const Binding& b) {
                                               return prepare_mean_loss(b, kernels::loss_kernels().bce_with_logits);
                                             }}};
const RegisterCpuOp kBceBackward{
    "bce_with_logits_backward",
    {plain_kernel("bce_with_logits_backward"),
     [](const Binding& b) { return prepare_mean_loss_backward(b, kernels::loss_kernels().bce_with_logits_backward); }}};
const RegisterCpuOp kOneHot{"one_hot", {plain_kernel("one_hot"), prepare_one_hot}};

}  // namespace
}  // namespace athanor::cpu
