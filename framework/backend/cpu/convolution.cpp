#include "backend/cpu/convolution.h"

#include <fmt/format.h>

#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "backend/cpu/onednn.h"
#include "backend/reference_implementation.h"
#include "base/error.h"
#include "graph/op.h"

namespace athanor::cpu {
namespace {

using dnnl::memory;

std::array<std::int64_t, 2> pair_of(const Attributes& attributes, std::string_view name) {
  const std::vector<std::int64_t>& values = attributes.integers(name);
  return {values[0], values[1]};
}

/// oneDNN's dilation is the number of skipped taps; its right padding may be negative where the last window ends early.
Window window_of(const Convolution& conv) {
  Window window{.stride = {conv.stride[0], conv.stride[1]},
                .dilation = {conv.dilation[0] - 1, conv.dilation[1] - 1},
                .left = {conv.padding[0], conv.padding[1]},
                .right = {}};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t extent = conv.dilation[axis] * (conv.weight[2 + axis] - 1) + 1;
    window.right.push_back((conv.y[2 + axis] - 1) * conv.stride[axis] + extent - conv.x[2 + axis] - conv.padding[axis]);
  }
  return window;
}

std::shared_ptr<const ConvolutionPrimitive> make(const Convolution& conv, const Layout& x, const Layout& y) {
  // Weight gradients are float32 whatever the activations are.
  const DType weight_type = conv.direction == Direction::backward_weights ? DType::f32 : conv.dtype;
  const memory::desc bias = conv.has_bias ? describe({conv.weight[0]}, DType::f32, kPlain) : memory::desc();
  const ConvolutionRequest request{
      .direction = conv.direction,
      .algorithm = conv.algorithm,
      .operands = {describe(conv.x, conv.dtype, x), describe_any(conv.weight, weight_type, conv.groups), bias,
                   describe(conv.y, conv.dtype, y)},
      .forward = {describe_any(conv.x, conv.dtype), describe_any(conv.weight, conv.dtype, conv.groups), bias,
                  describe_any(conv.y, conv.dtype)},
      .window = window_of(conv),
      .relu = conv.relu,
      .sum = conv.residual};
  std::optional<ProductPrimitive> primitive = make_primitive(request);
  if (!primitive) return nullptr;
  auto made = std::make_shared<ConvolutionPrimitive>();
  static_cast<ProductPrimitive&>(*made) = std::move(*primitive);
  made->algorithm = conv.algorithm;
  made->x_layout = x;
  made->y_layout = y;
  made->weight_layout = name_layout(made->weight, conv.weight, weight_type, conv.groups);
  return made;
}

template <typename Made>
struct Cache {
  std::mutex mutex;
  std::map<std::string, Made> made;
};

/// The first of the tried layouts that the algorithm has no reference code for; else the first that it has any for.
std::shared_ptr<const ConvolutionPrimitive> first_fast(const Convolution& conv,
                                                       const std::vector<std::pair<Layout, Layout>>& tries) {
  std::shared_ptr<const ConvolutionPrimitive> slow;
  for (const auto& [x, y] : tries) {
    const auto made = make_convolution(conv, x, y);
    if (made == nullptr) continue;
    if (!is_reference_implementation(made->implementation)) return made;
    if (slow == nullptr) slow = made;
  }
  return slow;
}

Layout preferred(std::int64_t channels) {
  return channels % block_channels() == 0 ? blocked_layout() : kPlain;
}

}  // namespace

std::string Convolution::key() const {
  return fmt::format("{} {} {} {} {} s{}x{} p{}x{} d{}x{} g{} b{} r{} s{} m{} n{}{} t{} a{}",
                     static_cast<int>(direction), x.text(), weight.text(), y.text(), name_of(dtype), stride[0],
                     stride[1], padding[0], padding[1], dilation[0], dilation[1], groups, has_bias, relu, residual,
                     statistics, normalized, input_relu, threads, name_of(algorithm));
}

Convolution convolution_of(const Graph& graph, const Node& node, int threads) {
  Convolution conv;
  const auto shape = [&](ValueId id) { return graph.value(id).shape; };
  const auto has_input = [&](std::size_t index) {
    return index < node.inputs.size() && node.inputs[index] != kNoValue;
  };
  const std::string& name = node.op->name;
  if (name == "conv2d") {
    conv.x = shape(node.inputs[0]);
    conv.weight = shape(node.inputs[1]);
    conv.y = shape(node.outputs[0]);
    conv.has_bias = has_input(2);
    conv.relu = node.attributes.text("activation") == "relu";
    conv.residual = has_input(kConvolutionResidual);
    conv.normalized = has_input(kConvolutionScale);
    conv.statistics = node.attributes.flag("statistics");
  } else if (name == "conv2d_backward_data") {
    conv.direction = Direction::backward_data;
    conv.x = shape(node.outputs[0]);
    conv.weight = shape(node.inputs[1]);
    conv.y = shape(node.inputs[0]);
    conv.residual = has_input(kDataGradientResidual);
    conv.statistics = node.attributes.flag("statistics");
  } else {
    conv.direction = Direction::backward_weights;
    conv.x = shape(node.inputs[0]);
    conv.weight = shape(node.outputs[0]);
    conv.y = shape(node.inputs[1]);
    conv.has_bias = node.attributes.flag("bias");
    conv.normalized = has_input(kWeightGradientScale);
  }
  conv.dtype = graph.value(node.inputs[0]).dtype;
  conv.stride = pair_of(node.attributes, "stride");
  conv.padding = pair_of(node.attributes, "padding");
  conv.dilation = pair_of(node.attributes, "dilation");
  conv.groups = node.attributes.integer("groups");
  const bool begins_norm_gradient = conv.direction == Direction::backward_data && conv.statistics;
  conv.input_relu = (conv.normalized || begins_norm_gradient) && node.attributes.flag("input_relu");
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
  const TeamSize team(conv.threads);  // oneDNN makes a primitive for the caller's team
  return cache.made[key] = make(conv, x, y);
}

std::shared_ptr<const ConvolutionPrimitive> choose_convolution(const Convolution& wanted) {
  static Cache<std::shared_ptr<const ConvolutionPrimitive>> cache;
  Convolution conv = wanted;
  conv.algorithm = ConvolutionAlgorithm::direct;
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
  std::shared_ptr<const ConvolutionPrimitive> best = first_fast(conv, tries);
  if (best == nullptr || is_reference_implementation(best->implementation)) {
    conv.algorithm = ConvolutionAlgorithm::gemm;
    if (const auto product = first_fast(conv, tries); product != nullptr) best = product;
  }
  const std::lock_guard lock(cache.mutex);
  return cache.made[key] = best;
}

}  // namespace athanor::cpu
