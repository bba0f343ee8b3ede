#include "backend/cpu/ceiling_candidates.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "backend/cpu/convolution.h"
#include "backend/cpu/onednn.h"
#include "graph/op.h"

namespace athanor::cpu {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

bool is_convolution(const Node& node) {
  return node.op->name.starts_with("conv2d");
}

Candidate candidate_of(const Convolution& conv, const ConvolutionPrimitive& made) {
  Candidate candidate{.primitive = made.primitive,
                      .inputs = {},
                      .outputs = {},
                      .scratch = made.scratch,
                      .implementation = "onednn:" + made.implementation,
                      .layouts = made.x_layout + " -> " + made.y_layout,
                      .is_planned = false};
  switch (conv.direction) {
    case Direction::forward:
      candidate.inputs = {{DNNL_ARG_SRC, made.x}, {DNNL_ARG_WEIGHTS, made.weight}};
      candidate.outputs = {{DNNL_ARG_DST, made.y}};
      if (conv.has_bias) candidate.inputs.emplace_back(DNNL_ARG_BIAS, made.bias);
      break;
    case Direction::backward_data:
      candidate.inputs = {{DNNL_ARG_DIFF_DST, made.y}, {DNNL_ARG_WEIGHTS, made.weight}};
      candidate.outputs = {{DNNL_ARG_DIFF_SRC, made.x}};
      break;
    case Direction::backward_weights:
      candidate.inputs = {{DNNL_ARG_SRC, made.x}, {DNNL_ARG_DIFF_DST, made.y}};
      candidate.outputs = {{DNNL_ARG_DIFF_WEIGHTS, made.weight}};
      if (conv.has_bias) candidate.outputs.emplace_back(DNNL_ARG_DIFF_BIAS, made.bias);
      break;
  }
  return candidate;
}

std::vector<Candidate> convolution_candidates(Convolution conv) {
  std::vector<Candidate> found;
  const std::array<Layout, 3> layouts{blocked_layout(), "nhwc", kPlain};
  const auto planned = choose_convolution(conv);
  for (const auto algorithm : {ConvolutionAlgorithm::direct, ConvolutionAlgorithm::winograd}) {
    conv.algorithm = algorithm;
    for (const Layout& x : layouts) {
      for (const Layout& y : layouts) {
        const auto made = make_convolution(conv, x, y);
        if (made == nullptr) continue;
        found.push_back(candidate_of(conv, *made));
        found.back().is_planned = made == planned;
      }
    }
  }
  return found;
}

/// Matrices of a linear layer: x [N, F], weight [O, F], y [N, O].
struct Matrices {
  memory::desc x, weight, bias, y;
};

struct Product {
  std::string direction;  ///< the op's name
  bool has_bias = false;
  bool relu = false;
};

template <typename PrimitiveDesc>
Candidate describe_product(const PrimitiveDesc& desc) {
  Candidate candidate;
  candidate.scratch = desc.scratchpad_desc();
  candidate.implementation = std::string("onednn:") + desc.impl_info_str();
  return candidate;
}

Candidate make_product(const Product& product, const Matrices& m) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const auto kind = dnnl::prop_kind::forward_training;
  using Forward = dnnl::inner_product_forward;
  if (product.direction == "linear") {
    if (product.relu) {
      dnnl::post_ops post_ops;
      post_ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
      attributes.set_post_ops(post_ops);
    }
    const auto op =
        product.has_bias ? Forward::desc(kind, m.x, m.weight, m.bias, m.y) : Forward::desc(kind, m.x, m.weight, m.y);
    const Forward::primitive_desc desc(op, attributes, engine());
    Candidate made = describe_product(desc);
    made.primitive = Forward(desc);
    made.inputs = {{DNNL_ARG_SRC, desc.src_desc()}, {DNNL_ARG_WEIGHTS, desc.weights_desc()}};
    if (product.has_bias) made.inputs.emplace_back(DNNL_ARG_BIAS, m.bias);
    made.outputs = {{DNNL_ARG_DST, desc.dst_desc()}};
    return made;
  }
  const memory::desc hint_weight(m.weight.dims(), m.x.data_type(), Tag::any);
  const Forward::primitive_desc hint(Forward::desc(kind, m.x, hint_weight, m.y), attributes, engine());
  if (product.direction == "linear_backward_data") {
    using Data = dnnl::inner_product_backward_data;
    const Data::primitive_desc desc(Data::desc(m.x, m.weight, m.y), attributes, engine(), hint);
    Candidate made = describe_product(desc);
    made.primitive = Data(desc);
    made.inputs = {{DNNL_ARG_DIFF_DST, desc.diff_dst_desc()}, {DNNL_ARG_WEIGHTS, desc.weights_desc()}};
    made.outputs = {{DNNL_ARG_DIFF_SRC, desc.diff_src_desc()}};
    return made;
  }
  using Weights = dnnl::inner_product_backward_weights;
  const auto op = product.has_bias ? Weights::desc(m.x, m.weight, m.bias, m.y) : Weights::desc(m.x, m.weight, m.y);
  const Weights::primitive_desc desc(op, attributes, engine(), hint);
  Candidate made = describe_product(desc);
  made.primitive = Weights(desc);
  made.inputs = {{DNNL_ARG_SRC, desc.src_desc()}, {DNNL_ARG_DIFF_DST, desc.diff_dst_desc()}};
  made.outputs = {{DNNL_ARG_DIFF_WEIGHTS, desc.diff_weights_desc()}};
  if (product.has_bias) made.outputs.emplace_back(DNNL_ARG_DIFF_BIAS, m.bias);
  return made;
}

std::vector<Candidate> linear_candidates(const Graph& graph, const Node& node) {
  Product product{.direction = node.op->name};
  const auto value = [&](ValueId id) -> const Value& { return graph.value(id); };
  const Value *x = &value(node.inputs[0]), *weight = &value(node.inputs[1]), *y = &value(node.outputs[0]);
  if (product.direction == "linear") {
    product.has_bias = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
    product.relu = node.attributes.text("activation") == "relu";
  } else if (product.direction == "linear_backward_data") {
    std::swap(x, y);
  } else {
    std::swap(weight, y);
    product.has_bias = node.attributes.flag("bias");
  }
  const auto matrix = [](const Value& v, Tag tag) {
    return memory::desc({v.shape[0], v.shape[1]}, onednn_type(v.dtype), tag);
  };
  struct Try {
    Tag activations, weight;
    const char* name;
  };
  std::vector<Candidate> found;
  for (const Try& t :
       {Try{Tag::ab, Tag::ab, "plain, weights plain"}, Try{Tag::ab, Tag::ba, "plain, weights transposed"},
        Try{Tag::ab, Tag::any, "plain, weights any"}, Try{Tag::any, Tag::any, "any"}}) {
    const Matrices m{matrix(*x, t.activations), matrix(*weight, t.weight),
                     memory::desc({y->shape[1]}, memory::data_type::f32, Tag::a), matrix(*y, t.activations)};
    try {
      found.push_back(make_product(product, m));
      found.back().layouts = t.name;
      found.back().is_planned = t.activations == Tag::ab && t.weight == Tag::ab;
    } catch (const dnnl::error&) {
      // This combination does not exist; the others may.
    }
  }
  return found;
}

}  // namespace

bool is_product(const Node& node) {
  return is_convolution(node) || node.op->name.starts_with("linear");
}

std::string product_key(const Graph& graph, const Node& node, int threads) {
  if (is_convolution(node)) return convolution_of(graph, node, threads).key();
  std::string key = node.op->name;
  for (const std::vector<ValueId>& values : {node.inputs, node.outputs}) {
    for (const ValueId id : values) {
      if (id != kNoValue) key += fmt::format(" {}{}", name_of(graph.value(id).dtype), graph.value(id).shape.text());
    }
  }
  return key;
}

std::vector<Candidate> product_candidates(const Graph& graph, const Node& node, int threads) {
  const TeamSize team(threads);
  std::vector<Candidate> found = is_convolution(node) ? convolution_candidates(convolution_of(graph, node, threads))
                                                      : linear_candidates(graph, node);
  // Reference code is up to a thousand times slower: not worth the time to measure it.
  const auto is_reference = [](const Candidate& c) { return c.implementation.find("ref:") != std::string::npos; };
  if (!std::all_of(found.begin(), found.end(), is_reference)) std::erase_if(found, is_reference);
  return found;
}

}  // namespace athanor::cpu
