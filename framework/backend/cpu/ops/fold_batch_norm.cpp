// fold_batch_norm on the CPU: one pass over weights in whatever layout they lie.
#include "kernels/fold_batch_norm.h"

#include <algorithm>
#include <optional>

#include "backend/cpu/onednn.h"
#include "backend/cpu/onednn_primitives.h"
#include "backend/cpu/ops/support.h"

namespace athanor::cpu {
namespace {

using kernels::ChannelDigit;

/// The digits of a weight's offsets, or nothing where the layout pads or is no plain blocking.
std::optional<std::vector<ChannelDigit>> digits_of(const Value& weight, const Layout& layout) {
  const dnnl::memory::desc desc = describe(weight.shape, weight.dtype, layout);
  const std::optional<Blocking> blocking = blocking_of(desc);
  if (!blocking) return std::nullopt;
  const dnnl::memory::dims dims = dims_of(desc);
  // With groups the channel is group · (channels of one) + channel of the group.
  std::vector<std::int64_t> steps(dims.size(), 0), outer = dims;
  steps[0] = weight.shape[0] / dims[0];
  if (groups_of(layout) > 1) steps[1] = 1;
  std::vector<ChannelDigit> inner;
  for (std::size_t i = blocking->inner_blocks.size(); i-- > 0;) {
    const auto dim = static_cast<std::size_t>(blocking->inner_dims[i]);
    if (outer[dim] % blocking->inner_blocks[i] != 0) return std::nullopt;
    inner.insert(inner.begin(), {blocking->inner_blocks[i], steps[dim]});
    steps[dim] *= blocking->inner_blocks[i];
    outer[dim] /= blocking->inner_blocks[i];
  }
  std::vector<std::size_t> order;
  for (std::size_t dim = 0; dim < dims.size(); ++dim) {
    if (outer[dim] > 1) order.push_back(dim);
  }
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return blocking->strides[a] > blocking->strides[b]; });
  std::vector<ChannelDigit> digits;
  for (const std::size_t dim : order) digits.push_back({outer[dim], steps[dim]});
  digits.insert(digits.end(), inner.begin(), inner.end());
  return digits;
}

/// Neighbours that count as one: a slower digit whose step is a whole turn of the faster one.
std::vector<ChannelDigit> joined(const std::vector<ChannelDigit>& digits) {
  std::vector<ChannelDigit> result;
  for (const ChannelDigit& digit : digits) {
    if (!result.empty() && result.back().step == digit.size * digit.step) {
      result.back() = {result.back().size * digit.size, digit.step};
    } else {
      result.push_back(digit);
    }
  }
  if (result.empty()) result.push_back({1, 0});
  return result;
}

NodeChoice choose_fold(const ChooseContext& context) {
  NodeChoice choice = choose_plain(context);
  const Value& weight = context.input(0);
  const Layout& now = context.inputs[0];
  const bool can_follow = !now.empty() && layout_bytes(weight, now) == BackendPlanner::dense_bytes(weight) &&
                          digits_of(weight, now).has_value();
  if (can_follow) choice.inputs[0] = choice.outputs[0] = now;
  choice.implementation = own_implementation("fold_batch_norm");
  choice.scratch_bytes = static_cast<std::size_t>(weight.shape[0]) * sizeof(float);
  return choice;
}

Step prepare_fold(const Binding& b) {
  kernels::FoldBatchNorm fold{.channels = b.input_value(0).shape[0],
                              .weight = b.input<float>(0),
                              .bias = b.input<float>(5),
                              .gamma = b.input<float>(1),
                              .beta = b.input<float>(2),
                              .mean = b.input<float>(3),
                              .var = b.input<float>(4),
                              .eps = static_cast<float>(b.node.attributes.real("eps")),
                              .dtype = b.output_value(0).dtype,
                              .folded_weight = b.outputs[0],
                              .folded_bias = b.output<float>(1),
                              .scale = static_cast<float*>(b.scratch),
                              .threads = b.threads};
  const std::vector<ChannelDigit> digits = joined(digits_of(b.input_value(0), b.input_layouts[0]).value());
  ATHANOR_CHECK(digits.size() <= fold.digits.size());
  std::copy(digits.begin(), digits.end(), fold.digits.begin());
  fold.digit_count = static_cast<int>(digits.size());
  return [fold, run = kernels::fold_kernels().batch_norm] { run(fold); };
}

const RegisterCpuOp kFold{"fold_batch_norm", {choose_fold, prepare_fold}};

}  // namespace
}  // namespace athanor::cpu
