// Ops that move elements on the CPU: concat, pad, the option-A shortcut and their gradients are window copies in any
// layout; flatten and unflatten are views of plain memory.
#include <vector>

#include "backend/cpu/ops/support.h"
#include "graph/op.h"
#include "kernels/copy_window.h"

namespace athanor::cpu {
namespace {

using kernels::Image;
using kernels::WindowCopy;

/// A row of features [N, F] is an image of one pixel.
Image image_of(const Value& value, const Layout& layout) {
  const bool is_image = value.shape.rank() == 4;
  return {view_of(value, layout), value.shape[1], is_image ? value.shape[2] : 1, is_image ? value.shape[3] : 1};
}
Image input_image(const Binding& b, std::size_t i) {
  return image_of(b.input_value(i), b.input_layouts[i]);
}
Image output_image(const Binding& b, std::size_t i) {
  return image_of(b.output_value(i), b.output_layouts[i]);
}

WindowCopy bound(WindowCopy copy, const void* from, void* to, int threads) {
  copy.from = from;
  copy.to = to;
  copy.threads = threads;
  return copy;
}

Step run_all(std::vector<WindowCopy> copies) {
  return [copies = std::move(copies), run = kernels::copy_kernels().copy_window] {
    for (const WindowCopy& copy : copies) run(copy);
  };
}

Step prepare_concat(const Binding& b) {
  const Image whole = output_image(b, 0);
  std::vector<WindowCopy> copies;
  std::int64_t first = 0;
  for (std::size_t i = 0; i < b.inputs.size(); ++i) {
    const Image part = input_image(b, i);
    copies.push_back(
        bound(concat_of(b.input_value(i).dtype, part, whole, first), b.inputs[i], b.outputs[0], b.threads));
    first += part.channels;
  }
  return run_all(std::move(copies));
}

Step prepare_concat_backward(const Binding& b) {
  const Image whole = input_image(b, 0);
  std::vector<WindowCopy> copies;
  std::int64_t first = 0;
  for (std::size_t i = 0; i < b.outputs.size(); ++i) {
    const std::int64_t channels = b.node.attributes.integers("channels")[i];
    // A gradient that nobody wants has no memory.
    if (b.outputs[i] != nullptr) {
      copies.push_back(bound(split_of(b.input_value(0).dtype, whole, output_image(b, i), first), b.inputs[0],
                             b.outputs[i], b.threads));
    }
    first += channels;
  }
  return run_all(std::move(copies));
}

/// One copy from input 0 to output 0; `make` says which.
template <typename Make>
Step prepare_copy(const Binding& b, const Make& make) {
  const WindowCopy copy = make(b.input_value(0).dtype, input_image(b, 0), output_image(b, 0), b.node.attributes);
  return run_all({bound(copy, b.inputs[0], b.outputs[0], b.threads)});
}

WindowCopy pad(DType dtype, const Image& x, const Image& y, const Attributes& attributes) {
  const std::vector<std::int64_t>& pads = attributes.integers("pads");
  return kernels::pad_of(dtype, x, y, pads[0], pads[2]);
}
WindowCopy pad_backward(DType dtype, const Image& dy, const Image& dx, const Attributes& attributes) {
  const std::vector<std::int64_t>& pads = attributes.integers("pads");
  return kernels::pad_backward_of(dtype, dy, dx, pads[0], pads[2]);
}
WindowCopy shortcut_a(DType dtype, const Image& x, const Image& y, const Attributes& attributes) {
  return kernels::shortcut_a_of(dtype, x, y, attributes.integer("stride"));
}
WindowCopy shortcut_a_backward(DType dtype, const Image& dy, const Image& dx, const Attributes& attributes) {
  return kernels::shortcut_a_backward_of(dtype, dy, dx, attributes.integer("stride"));
}

/// Inputs stay as they are. Outputs take the layout of input 0, unless its channel blocks do not divide their channels.
NodeChoice choose_shape(const ChooseContext& context) {
  NodeChoice choice = kernel_that_follows(0, context.node.op->name)(context);
  const Layout first = choice.inputs[0];
  for (std::size_t i = 0; i < choice.inputs.size(); ++i) {
    choice.inputs[i] = context.inputs[i].empty() ? kPlain : context.inputs[i];
  }
  for (std::size_t i = 0; i < choice.outputs.size(); ++i) {
    if (context.node.outputs[i] != kNoValue && !divides(first, context.output(i))) choice.outputs[i] = kPlain;
  }
  return choice;
}

const RegisterCpuOp kConcat{"concat", {choose_shape, prepare_concat}};
const RegisterCpuOp kConcatBackward{"concat_backward", {choose_shape, prepare_concat_backward}};
const RegisterCpuOp kPad{"pad", {choose_shape, [](const Binding& b) { return prepare_copy(b, pad); }}};
const RegisterCpuOp kPadBackward{"pad_backward",
                                 {choose_shape, [](const Binding& b) { return prepare_copy(b, pad_backward); }}};
const RegisterCpuOp kShortcutA{"shortcut_a",
                               {choose_shape, [](const Binding& b) { return prepare_copy(b, shortcut_a); }}};
const RegisterCpuOp kShortcutABackward{
    "shortcut_a_backward", {choose_shape, [](const Binding& b) { return prepare_copy(b, shortcut_a_backward); }}};

Step prepare_view(const Binding&) {
  return {};
}
const RegisterCpuOp kFlatten{"flatten", {plain_kernel("flatten"), prepare_view}};
const RegisterCpuOp kUnflatten{"unflatten", {plain_kernel("unflatten"), prepare_view}};

}  // namespace
}  // namespace athanor::cpu
