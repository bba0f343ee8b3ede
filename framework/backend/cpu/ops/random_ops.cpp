// Dropout and stochastic depth on the CPU. Forward and backward are the same op: the mask follows from the sample's
// index and the epoch, which are inputs of the step.
#include "backend/cpu/ops/support.h"
#include "kernels/dropout.h"

namespace athanor::cpu {
namespace {

using Kernel = void (*)(const kernels::Dropout&);

Step prepare_random(const Binding& b, Kernel run) {
  kernels::Dropout args{.view = input_view(b, 0),
                        .dtype = b.input_value(0).dtype,
                        .channels = b.input_value(0).shape[1],
                        .x = b.inputs[0],
                        .y = b.outputs[0],
                        .sample_indices = b.input<std::int64_t>(1),
                        .seed = b.seed,
                        .key = static_cast<std::uint64_t>(b.node.attributes.integer("key")),
                        .rate = static_cast<float>(b.node.attributes.real("rate")),
                        .threads = b.threads};
  return [args, epoch = b.input<std::int64_t>(2), run]() mutable {
    args.epoch = static_cast<std::uint32_t>(*epoch);
    run(args);
  };
}

const RegisterCpuOp kDropout{"dropout", {kernel_that_follows(0, "dropout"), [](const Binding& b) {
                                           return prepare_random(b, kernels::dropout_kernels().dropout);
                                         }}};
const RegisterCpuOp kStochasticDepth{"stochastic_depth",
                                     {kernel_that_follows(0, "stochastic_depth"), [](const Binding& b) {
                                        return prepare_random(b, kernels::dropout_kernels().stochastic_depth);
                                      }}};

}  // namespace
}  // namespace athanor::cpu
