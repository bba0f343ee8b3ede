// Layer and group normalisation on GPUs, with their gradients: layer norm over plain memory, since its parameters are
// laid out as the sample is; group norm over images with channels innermost.
#include "backend/cuda/op.h"
#include "kernels/cuda/group_norm.h"

namespace athanor::cuda {
namespace {

using kernels::cuda::NormGroups;
using GroupsOf = NormGroups (*)(const Node&, const Value&);

NormGroups layer_groups(const Node&, const Value& x) {
  return {.dtype = x.dtype,
          .batch = x.shape[0],
          .groups = 1,
          .group_channels = x.shape.elements() / x.shape[0],
          .pixels = 1};
}

NormGroups channel_groups(const Node& node, const Value& x) {
  const std::int64_t groups = node.attributes.integer("groups");
  return {.dtype = x.dtype,
          .batch = x.shape[0],
          .groups = groups,
          .group_channels = x.shape[1] / groups,
          .pixels = x.shape[2] * x.shape[3]};
}

Step prepare_group_norm(const CudaBinding& b, GroupsOf groups_of) {
  const kernels::cuda::GroupNorm args{.shape = groups_of(b.node, b.input_value(0)),
                                      .x = b.inputs[0],
                                      .gamma = b.input<float>(1),
                                      .beta = b.input<float>(2),
                                      .y = b.outputs[0],
                                      .mean = b.output<float>(1),
                                      .inv_std = b.output<float>(2),
                                      .eps = static_cast<float>(b.node.attributes.real("eps"))};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

Step prepare_group_norm_backward(const CudaBinding& b, GroupsOf groups_of) {
  const kernels::cuda::GroupNormBackward args{.shape = groups_of(b.node, b.input_value(1)),
                                              .dy = b.inputs[0],
                                              .x = b.inputs[1],
                                              .gamma = b.input<float>(2),
                                              .mean = b.input<float>(3),
                                              .inv_std = b.input<float>(4),
                                              .dx = b.outputs[0],
                                              .dgamma = b.output<float>(1),
                                              .dbeta = b.output<float>(2),
                                              .scratch = b.scratch};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

struct RegisterCudaNorm {
  RegisterCudaNorm(const std::string& name, GroupsOf groups_of, bool is_plain) {
    const auto choice_of = [is_plain](const CudaChooseContext& context, const std::string& kernel) {
      return is_plain ? choose_plain(context, own_implementation(kernel)) : choose_nhwc(context, kernel);
    };
    RegisterCudaOp(name, {[=](const CudaChooseContext& context) { return choice_of(context, name); },
                          [groups_of](const CudaBinding& b) { return prepare_group_norm(b, groups_of); }});
    RegisterCudaOp(name + "_backward",
                   {[=](const CudaChooseContext& context) {
                      NodeChoice choice = choice_of(context, name + "_backward");
                      choice.scratch_bytes =
                          kernels::cuda::group_norm_scratch_bytes(groups_of(context.node, context.input(1)));
                      return choice;
                    },
                    [groups_of](const CudaBinding& b) { return prepare_group_norm_backward(b, groups_of); }});
  }
};

const RegisterCudaNorm kLayerNorm{"layer_norm", layer_groups, true};
const RegisterCudaNorm kGroupNorm{"group_norm", channel_groups, false};

}  // namespace
}  // namespace athanor::cuda
