#include "backend/cuda/ops/convolution_layouts.h"

#include <algorithm>
#include <optional>

#include "graph/op.h"
#include "graph/ops/support.h"
#include "kernels/cuda/prepare_input.h"

namespace athanor::cuda::ops {
namespace {

using athanor::ops::Pair;
using athanor::ops::pair_of;

/// Images of up to 4 channels are read 4 at a time: cuDNN's engines for tensor cores want aligned pixels.
constexpr std::int64_t kFewChannels = 4;

Layout padded_images(const Shape& x) {
  return x.rank() == 4 && x[1] <= kFewChannels ? "nhwc4" : kNhwc;
}

bool reads_images(const Node& node) {
  return node.op->name == "conv2d" || node.op->name == "conv2d_backward_weights";
}

/// Of a convolution that folding (layouts.h) is for: its window.
std::optional<std::int64_t> folded_window(const Graph& graph, const Node& node) {
  const Shape& x = graph.value(node.inputs[0]).shape;
  const Shape& w = graph.value(node.op->name == "conv2d" ? node.inputs[1] : node.outputs[0]).shape;
  const std::int64_t k = w[2], padding = (k - 1) / 2;
  const bool fits = k >= 3 && k % 2 == 1 && w[3] == k && x[1] <= kernels::cuda::kMostFoldedChannels && x[2] % 2 == 0 &&
                    x[3] % 2 == 0 && pair_of(node.attributes, "stride") == Pair{2, 2} &&
                    pair_of(node.attributes, "dilation") == Pair{1, 1} &&
                    pair_of(node.attributes, "padding") == Pair{padding, padding};
  return fits ? std::optional(k) : std::nullopt;
}

Layout wanted_images(const Graph& graph, const Node& node) {
  if (node.attributes.integer("groups") != 1) return kNhwc;
  if (const auto k = folded_window(graph, node)) return folded_images(*k);
  return padded_images(graph.value(node.inputs[0]).shape);
}

}  // namespace

Layout images_layout(const Graph& graph, const Node& node, const Layout& now) {
  const Layout wanted = wanted_images(graph, node);
  const bool is_one_group = node.attributes.integer("groups") == 1;
  if (now == kNhwc || (is_one_group && is_padded(now) && !is_folded(now))) return now;
  return wanted;
}

Layout weights_for(const Layout& images) {
  return is_folded(images) ? kFoldedWeights : kOhwi + images.substr(kNhwc.size());
}

Layout input_layout(const Graph& graph, ValueId image) {
  std::optional<Layout> wanted;
  for (const Node& node : graph.nodes) {
    if (std::find(node.inputs.begin(), node.inputs.end(), image) == node.inputs.end()) continue;
    const bool is_images = reads_images(node) && node.inputs[0] == image;
    const Layout layout = is_images ? wanted_images(graph, node) : Layout{};
    if (layout.empty() || (wanted && *wanted != layout)) return padded_images(graph.value(image).shape);
    wanted = layout;
  }
  return wanted ? *wanted : padded_images(graph.value(image).shape);
}

}  // namespace athanor::cuda::ops
