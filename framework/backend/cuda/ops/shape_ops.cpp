// Ops that move elements on GPUs: concat, pad, the option-A shortcut and their gradients are window copies with
// channels innermost; flatten and unflatten are views of plain memory.
#include <vector>

#include "backend/cuda/op.h"
#include "graph/op.h"
#include "kernels/cuda/copy_window.h"

namespace athanor::cuda {
namespace {

using kernels::Image;
using kernels::WindowCopy;

/// A row of features [N, F] is an image of one pixel.
Image image_of(const Value& value) {
  const Rows rows = rows_of(value);
  const bool is_image = value.shape.rank() == 4;
  return {{.batch = rows.samples, .groups = 1, .pixels = rows.pixels, .lanes = rows.channels},
          rows.channels,
          is_image ? value.shape[2] : 1,
          is_image ? value.shape[3] : 1};
}

kernels::cuda::CopyWindow copy_between(WindowCopy copy, const void* from, void* to) {
  copy.from = from;
  copy.to = to;
  return {copy};
}

Step copy_all(const CudaBinding& b, std::vector<kernels::cuda::CopyWindow> copies) {
  return [copies = std::move(copies), &device = b.device](Stream stream) {
    for (const kernels::cuda::CopyWindow& copy : copies) launch(device, copy, stream);
  };
}

Step prepare_concat(const CudaBinding& b) {
  const Image whole = image_of(b.output_value(0));
  std::vector<kernels::cuda::CopyWindow> copies;
  std::int64_t first = 0;
  for (std::size_t i = 0; i < b.inputs.size(); ++i) {
    const Image part = image_of(b.input_value(i));
    copies.push_back(copy_between(concat_of(b.input_value(i).dtype, part, whole, first), b.inputs[i], b.outputs[0]));
    first += part.channels;
  }
  return copy_all(b, std::move(copies));
}

Step prepare_concat_gradient(const CudaBinding& b) {
  const Image whole = image_of(b.input_value(0));
  std::vector<kernels::cuda::CopyWindow> copies;
  std::int64_t first = 0;
  for (std::size_t i = 0; i < b.outputs.size(); ++i) {
    const std::int64_t channels = b.node.attributes.integers("channels")[i];
    // A gradient that nobody wants has no memory.
    if (b.has_output(i)) {
      const WindowCopy part = split_of(b.input_value(0).dtype, whole, image_of(b.output_value(i)), first);
      copies.push_back(copy_between(part, b.inputs[0], b.outputs[i]));
    }
    first += channels;
  }
  return copy_all(b, std::move(copies));
}

/// One copy from input 0 to output 0; `make` says which.
template <typename Make>
Step prepare_one_copy(const CudaBinding& b, const Make& make) {
  const Value &x = b.input_value(0), &y = b.output_value(0);
  return copy_all(
      b, {copy_between(make(x.dtype, image_of(x), image_of(y), b.node.attributes), b.inputs[0], b.outputs[0])});
}

Step prepare_pad(const CudaBinding& b) {
  return prepare_one_copy(b, [](DType dtype, const Image& x, const Image& y, const Attributes& attributes) {
    const std::vector<std::int64_t>& pads = attributes.integers("pads");
    return kernels::pad_of(dtype, x, y, pads[0], pads[2]);
  });
}

Step prepare_pad_gradient(const CudaBinding& b) {
  return prepare_one_copy(b, [](DType dtype, const Image& dy, const Image& dx, const Attributes& attributes) {
    const std::vector<std::int64_t>& pads = attributes.integers("pads");
    return kernels::pad_backward_of(dtype, dy, dx, pads[0], pads[2]);
  });
}

Step prepare_shortcut(const CudaBinding& b) {
  return prepare_one_copy(b, [](DType dtype, const Image& x, const Image& y, const Attributes& attributes) {
    return kernels::shortcut_a_of(dtype, x, y, attributes.integer("stride"));
  });
}

Step prepare_shortcut_gradient(const CudaBinding& b) {
  return prepare_one_copy(b, [](DType dtype, const Image& dy, const Image& dx, const Attributes& attributes) {
    return kernels::shortcut_a_backward_of(dtype, dy, dx, attributes.integer("stride"));
  });
}

const RegisterCudaOp kConcat{"concat", {nhwc_kernel("copy_window"), prepare_concat}};
const RegisterCudaOp kConcatBackward{"concat_backward", {nhwc_kernel("copy_window"), prepare_concat_gradient}};
const RegisterCudaOp kPad{"pad", {nhwc_kernel("copy_window"), prepare_pad}};
const RegisterCudaOp kPadBackward{"pad_backward", {nhwc_kernel("copy_window"), prepare_pad_gradient}};
const RegisterCudaOp kShortcutA{"shortcut_a", {nhwc_kernel("copy_window"), prepare_shortcut}};
const RegisterCudaOp kShortcutABackward{"shortcut_a_backward", {nhwc_kernel("copy_window"), prepare_shortcut_gradient}};

NodeChoice choose_view(const CudaChooseContext& context) {
  return choose_plain(context, own_implementation(context.node.op->name));
}
Step prepare_view(const CudaBinding&) {
  return {};
}
const RegisterCudaOp kFlatten{"flatten", {choose_view, prepare_view}};
const RegisterCudaOp kUnflatten{"unflatten", {choose_view, prepare_view}};

}  // namespace
}  // namespace athanor::cuda
