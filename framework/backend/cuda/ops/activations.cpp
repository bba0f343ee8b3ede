// Activations, their gradients and `add` on GPUs: flat passes over whatever layout the values have.
#include "backend/cuda/op.h"
#include "backend/node_settings.h"
#include "kernels/cuda/elementwise.h"

namespace athanor::cuda {
namespace {

using kernels::Activation;

Step prepare_activate(const CudaBinding& b, Activation registered) {
  const Activation kind = activation_of(b.node, registered);
  const kernels::cuda::Activate args{.kind = kind,
                                     .dtype = b.input_value(0).dtype,
                                     .x = b.input<void>(0),
                                     .y = b.output<void>(0),
                                     .count = stored_elements(b.input_value(0), b.input_layouts[0]),
                                     .slope = slope_of(b.node, kind)};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

Step prepare_activate_backward(const CudaBinding& b, Activation registered) {
  const Activation kind = activation_of(b.node, registered);
  const kernels::cuda::ActivateBackward args{.kind = kind,
                                             .dtype = b.input_value(0).dtype,
                                             .dy = b.input<void>(0),
                                             .saved = b.input<void>(1),
                                             .dx = b.output<void>(0),
                                             .count = stored_elements(b.input_value(0), b.input_layouts[0]),
                                             .slope = slope_of(b.node, kind)};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

struct RegisterActivation {
  RegisterActivation(const std::string& name, Activation kind) {
    RegisterCudaOp(name,
                   {kernel_that_follows(0, name), [kind](const CudaBinding& b) { return prepare_activate(b, kind); }});
    const std::string backward = name + "_backward";
    RegisterCudaOp(backward, {kernel_that_follows(1, backward),
                              [kind](const CudaBinding& b) { return prepare_activate_backward(b, kind); }});
  }
};

const RegisterActivation kRelu{"relu", Activation::relu};
const RegisterActivation kLeakyRelu{"leaky_relu", Activation::leaky_relu};
const RegisterActivation kSigmoid{"sigmoid", Activation::sigmoid};
const RegisterActivation kTanh{"tanh", Activation::tanh};
const RegisterActivation kGelu{"gelu", Activation::gelu_erf};
const RegisterActivation kSilu{"silu", Activation::silu};

Step prepare_add(const CudaBinding& b) {
  const kernels::cuda::Add args{.dtype = b.input_value(0).dtype,
                                .first = b.input<void>(0),
                                .second = b.input<void>(1),
                                .y = b.output<void>(0),
                                .count = stored_elements(b.input_value(0), b.input_layouts[0])};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

const RegisterCudaOp kAdd{"add", {kernel_that_follows(0, "add"), prepare_add}};

}  // namespace
}  // namespace athanor::cuda
