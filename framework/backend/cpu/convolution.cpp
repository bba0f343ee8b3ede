#include "backend/cpu/convolution.h"

#include <fmt/format.h>

#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "backend/cpu/onednn.h"
#include "base/error.h"
#include "graph/op.h"

namespace athanor::cpu {
namespace {

using dnnl::algorithm;
using dnnl::memory;

algorithm onednn_algorithm(const Convolution& conv) {
  return conv.algorithm == ConvolutionAlgorithm::winograd ? algorithm::convolution_winograd
                                                          : algorithm::convolution_direct;
}

std::array<std::int64_t, 2> pair_of(const Attributes& attributes, std::string_view name) {
  const std::vector<std::int64_t>& values = attributes.integers(name);
  return {values[0], values[1]};
}

memory::dims dims_of(const std::array<std::int64_t, 2>& pair) {
  return {pair[0], pair[1]};
}

/// oneDNN's dilation is the number of skipped taps; its right padding may be negative where the last window ends early.
struct Window {
  memory::dims stride, dilation, left, right;

  explicit Window(const Convolution& conv)
      : stride(dims_of(conv.stride)),
        dilation{conv.dilation[0] - 1, conv.dilation[1] - 1},
        left(dims_of(conv.padding)) {
    for (std::size_t axis = 0; axis < 2; ++axis) {
      const std::int64_t extent = conv.dilation[axis] * (conv.weight[2 + axis] - 1) + 1;
      right.push_back((conv.y[2 + axis] - 1) * conv.stride[axis] + extent - conv.x[2 + axis] - conv.padding[axis]);
    }
  }
};

dnnl::primitive_attr attributes_of(const Convolution& conv) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (conv.relu) {
    dnnl::post_ops post_ops;
    post_ops.append_eltwise(1.0f, algorithm::eltwise_relu, 0.0f, 0.0f);
    attributes.set_post_ops(post_ops);
  }
  return attributes;
}

struct Descriptors {
  memory::desc x, weight, bias, y;
};

dnnl::convolution_forward::primitive_desc forward_desc(const Convolution& conv, const Descriptors& d) {
  const Window window(conv);
  const auto kind = dnnl::prop_kind::forward_training;
  const algorithm how = onednn_algorithm(conv);
  const auto op = conv.has_bias ? dnnl::convolution_forward::desc(kind, how, d.x, d.weight, d.bias, d.y, window.stride,
                                                                  window.dilation, window.left, window.right)
                                : dnnl::convolution_forward::desc(kind, how, d.x, d.weight, d.y, window.stride,
                                                                  window.dilation, window.left, window.right);
  return {op, attributes_of(conv), engine(), true};
}

/// Backward primitives want a forward one as a hint; it must exist, whatever layouts it prefers.
dnnl::convolution_forward::primitive_desc hint_desc(const Convolution& conv) {
  Convolution plain = conv;
  plain.relu = false;
  plain.algorithm = ConvolutionAlgorithm::direct;
  return forward_desc(plain, {describe_any(conv.x, conv.dtype), describe_any(conv.weight, conv.dtype, conv.groups),
                              describe({conv.weight[0]}, DType::f32, kPlain), describe_any(conv.y, conv.dtype)});
}

template <typename PrimitiveDesc>
ConvolutionPrimitive finish(const PrimitiveDesc& desc) {
  ConvolutionPrimitive made;
  made.scratch = desc.scratchpad_desc();
  made.implementation = desc.impl_info_str();
  return made;
}

std::optional<ConvolutionPrimitive> make_forward(const Convolution& conv, const Descriptors& d) {
  const auto desc = forward_desc(conv, d);
  if (!desc) return std::nullopt;
  ConvolutionPrimitive made = finish(desc);
  made.primitive = dnnl::convolution_forward(desc);
  made.x = desc.src_desc();
  made.weight = desc.weights_desc();
  made.y = desc.dst_desc();
  return made;
}

std::optional<ConvolutionPrimitive> make_backward_data(const Convolution& conv, const Descriptors& d) {
  const Window window(conv);
  const dnnl::convolution_backward_data::desc op(onednn_algorithm(conv), d.x, d.weight, d.y, window.stride,
                                                 window.dilation, window.left, window.right);
  const dnnl::convolution_backward_data::primitive_desc desc(op, attributes_of(conv), engine(), hint_desc(conv), true);
  if (!desc) return std::nullopt;
  ConvolutionPrimitive made = finish(desc);
  made.primitive = dnnl::convolution_backward_data(desc);
  made.x = desc.diff_src_desc();
  made.weight = desc.weights_desc();
  made.y = desc.diff_dst_desc();
  return made;
}

std::optional<ConvolutionPrimitive> make_backward_weights(const Convolution& conv, const Descriptors& d) {
  const Window window(conv);
  using Primitive = dnnl::convolution_backward_weights;
  const algorithm how = onednn_algorithm(conv);
  const auto op =
      conv.has_bias
          ? Primitive::desc(how, d.x, d.weight, d.bias, d.y, window.stride, window.dilation, window.left, window.right)
          : Primitive::desc(how, d.x, d.weight, d.y, window.stride, window.dilation, window.left, window.right);
  const Primitive::primitive_desc desc(op, attributes_of(conv), engine(), hint_desc(conv), true);
  if (!desc) return std::nullopt;
  ConvolutionPrimitive made = finish(desc);
  made.primitive = Primitive(desc);
  made.x = desc.src_desc();
  made.weight = desc.diff_weights_desc();
  made.y = desc.diff_dst_desc();
  return made;
}

std::shared_ptr<const ConvolutionPrimitive> make(const Convolution& conv, const Layout& x, const Layout& y) {
  // Weight gradients are float32 whatever the activations are.
  const DType weight_type = conv.direction == Direction::backward_weights ? DType::f32 : conv.dtype;
  const Descriptors d{describe(conv.x, conv.dtype, x), describe_any(conv.weight, weight_type, conv.groups),
                      describe({conv.weight[0]}, DType::f32, kPlain), describe(conv.y, conv.dtype, y)};
  std::optional<ConvolutionPrimitive> made;
  try {
    made = conv.direction == Direction::forward         ? make_forward(conv, d)
           : conv.direction == Direction::backward_data ? make_backward_data(conv, d)
                                                        : make_backward_weights(conv, d);
  } catch (const dnnl::error&) {
    return nullptr;
  }
  if (!made) return nullptr;
  made->bias = d.bias;
  made->x_layout = x;
  made->y_layout = y;
  made->weight_layout = name_layout(made->weight, conv.weight, weight_type, conv.groups);
  return std::make_shared<ConvolutionPrimitive>(std::move(*made));
}

template <typename Made>
struct Cache {
  std::mutex mutex;
  std::map<std::string, Made> made;
};

/// Rank of an implementation: generated code before matrix products before reference code.
int rank_of(const std::string& implementation) {
  if (implementation.find("ref") != std::string::npos) return 2;
  if (implementation.find("gemm") != std::string::npos && implementation.find("brgemm") == std::string::npos) return 1;
  return 0;
}

Layout preferred(std::int64_t channels) {
  return channels % block_channels() == 0 ? blocked_layout() : kPlain;
}

}  // namespace

std::string Convolution::key() const {
  return fmt::format("{} {} {} {} {} s{}x{} p{}x{} d{}x{} g{} b{} r{} t{} a{}", static_cast<int>(direction), x.text(),
                     weight.text(), y.text(), name_of(dtype), stride[0], stride[1], padding[0], padding[1], dilation[0],
                     dilation[1], groups, has_bias, relu, threads, static_cast<int>(algorithm));
}

Convolution convolution_of(const Graph& graph, const Node& node, int threads) {
  Convolution conv;
  const auto shape = [&](ValueId id) { return graph.value(id).shape; };
  const std::string& name = node.op->name;
  if (name == "conv2d") {
    conv.x = shape(node.inputs[0]);
    conv.weight = shape(node.inputs[1]);
    conv.y = shape(node.outputs[0]);
    conv.has_bias = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
    conv.relu = node.attributes.text("activation") == "relu";
  } else if (name == "conv2d_backward_data") {
    conv.direction = Direction::backward_data;
    conv.x = shape(node.outputs[0]);
    conv.weight = shape(node.inputs[1]);
    conv.y = shape(node.inputs[0]);
  } else {
    conv.direction = Direction::backward_weights;
    conv.x = shape(node.inputs[0]);
    conv.weight = shape(node.outputs[0]);
    conv.y = shape(node.inputs[1]);
    conv.has_bias = node.attributes.flag("bias");
  }
  conv.dtype = graph.value(node.inputs[0]).dtype;
  conv.stride = pair_of(node.attributes, "stride");
  conv.padding = pair_of(node.attributes, "padding");
  conv.dilation = pair_of(node.attributes, "dilation");
  conv.groups = node.attributes.integer("groups");
  conv.threads = threads;
  return conv;
}

std::vector<std::array<std::int64_t, 2>> blind_taps(const Convolution& conv) {
  const auto sees_image = [&](std::size_t axis, std::int64_t tap) {
    for (std::int64_t window = 0; window < conv.y[2 + axis]; ++window) {
      const std::int64_t at = window * conv.stride[axis] - conv.padding[axis] + tap * conv.dilation[axis];
      if (at >= 0 && at < conv.x[2 + axis]) return true;
    }
    return false;
  };
  std::vector<std::array<std::int64_t, 2>> taps;
  for (std::int64_t h = 0; h < conv.weight[2]; ++h) {
    for (std::int64_t w = 0; w < conv.weight[3]; ++w) {
      if (!sees_image(0, h) || !sees_image(1, w)) taps.push_back({h, w});
    }
  }
  return taps;
}

std::shared_ptr<const ConvolutionPrimitive> make_convolution(const Convolution& conv, const Layout& x,
                                                             const Layout& y) {
  static Cache<std::shared_ptr<const ConvolutionPrimitive>> cache;
  const std::string key = fmt::format("{} {} {}", conv.key(), x, y);
  const std::lock_guard lock(cache.mutex);
  const auto found = cache.made.find(key);
  if (found != cache.made.end()) return found->second;
  return cache.made[key] = make(conv, x, y);
}

std::shared_ptr<const ConvolutionPrimitive> choose_convolution(const Convolution& conv) {
  static Cache<std::shared_ptr<const ConvolutionPrimitive>> cache;
  const std::string key = conv.key();
  {
    const std::lock_guard lock(cache.mutex);
    if (const auto found = cache.made.find(key); found != cache.made.end()) return found->second;
  }
  std::vector<std::pair<Layout, Layout>> tries{
      {preferred(conv.x[1]), preferred(conv.y[1])}, {"nhwc", "nhwc"}, {kPlain, kPlain}, {kPlain, preferred(conv.y[1])}};
  // The tile units of AMX want channels innermost.
  if (conv.dtype == DType::bf16 && dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_amx) {
    std::swap(tries[0], tries[1]);
  }
  std::shared_ptr<const ConvolutionPrimitive> best;
  for (const auto& [x, y] : tries) {
    const auto made = make_convolution(conv, x, y);
    if (made == nullptr) continue;
    if (best == nullptr || rank_of(made->implementation) < rank_of(best->implementation)) best = made;
    if (rank_of(best->implementation) == 0) break;
  }
  const std::lock_guard lock(cache.mutex);
  return cache.made[key] = best;
}

}  // namespace athanor::cpu
