// Activations, their gradients and `add` on the CPU: flat loops over whatever layout the values have.
#include "backend/cpu/ops/support.h"
#include "backend/node_settings.h"
#include "kernels/elementwise.h"

namespace athanor::cpu {
namespace {

using kernels::Activation;

Step prepare_activation_forward(const Binding& b, Activation registered) {
  const Activation kind = activation_of(b.node, registered);
  const DType dtype = b.input_value(0).dtype;
  const std::int64_t count = stored_elements(b.input_value(0), b.input_layouts[0]);
  return [kind, dtype, count, slope = slope_of(b.node, kind), threads = b.threads, x = b.inputs[0], y = b.outputs[0],
          run = kernels::elementwise_kernels().activation] { run(kind, dtype, x, y, count, slope, threads); };
}

Step prepare_activation_backward(const Binding& b, Activation registered) {
  const Activation kind = activation_of(b.node, registered);
  const DType dtype = b.input_value(0).dtype;
  const std::int64_t count = stored_elements(b.input_value(0), b.input_layouts[0]);
  return [kind, dtype, count, slope = slope_of(b.node, kind), threads = b.threads, dy = b.inputs[0],
          saved = b.inputs[1], dx = b.outputs[0], run = kernels::elementwise_kernels().activation_backward] {
    run(kind, dtype, dy, saved, dx, count, slope, threads);
  };
}

struct RegisterActivation {
  RegisterActivation(const std::string& name, Activation kind) {
    RegisterCpuOp(
        name, {kernel_that_follows(0, name), [kind](const Binding& b) { return prepare_activation_forward(b, kind); }});
    const std::string backward = name + "_backward";
    RegisterCpuOp(backward, {kernel_that_follows(1, backward),
                             [kind](const Binding& b) { return prepare_activation_backward(b, kind); }});
  }
};

const RegisterActivation kRelu{"relu", Activation::relu};
const RegisterActivation kLeakyRelu{"leaky_relu", Activation::leaky_relu};
const RegisterActivation kSigmoid{"sigmoid", Activation::sigmoid};
const RegisterActivation kTanh{"tanh", Activation::tanh};
const RegisterActivation kGelu{"gelu", Activation::gelu_erf};
const RegisterActivation kSilu{"silu", Activation::silu};

Step prepare_add(const Binding& b) {
  const std::int64_t count = stored_elements(b.input_value(0), b.input_layouts[0]);
  return [dtype = b.input_value(0).dtype, count, threads = b.threads, first = b.inputs[0], second = b.inputs[1],
          y = b.outputs[0], run = kernels::elementwise_kernels().add] { run(dtype, first, second, y, count, threads); };
}

const RegisterCpuOp kAdd{"add", {kernel_that_follows(0, "add"), prepare_add}};

}  // namespace
}  // namespace athanor::cpu
