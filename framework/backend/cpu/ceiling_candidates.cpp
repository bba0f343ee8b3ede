#include "backend/cpu/ceiling_candidates.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "backend/cpu/convolution.h"
#include "backend/cpu/convolution_candidates.h"
#include "backend/cpu/inner_product.h"
#include "backend/cpu/onednn.h"
#include "backend/cpu/winograd_candidates.h"
#include "backend/reference_implementation.h"
#include "graph/op.h"

namespace athanor::cpu {
namespace {

using Tag = dnnl::memory::format_tag;

bool is_convolution(const Node& node) {
  return node.op->name.starts_with("conv2d");
}

/// Without what a plan lets it do beside its product.
Convolution bare_convolution_of(const Graph& graph, const Node& node, int threads) {
  Convolution conv = convolution_of(graph, node, threads);
  conv.statistics = false;
  return conv;
}

std::vector<Candidate> convolution_candidates(Convolution conv) {
  std::vector<Candidate> found;
  const std::array<Layout, 3> layouts{blocked_layout(), "nhwc", kPlain};
  const auto planned = choose_convolution(conv);
  for (const Layout& x : layouts) {
    for (const Layout& y : layouts) {
      const std::string names = x + " -> " + y;
      for (const auto algorithm :
           {ConvolutionAlgorithm::direct, ConvolutionAlgorithm::gemm, ConvolutionAlgorithm::winograd}) {
        conv.algorithm = algorithm;
        const auto made = make_convolution(conv, x, y);
        if (made != nullptr) found.push_back({candidate_of(conv, *made), names, made == planned});
      }
      for (ProductCandidate& own : winograd_candidates(conv, x, y)) found.push_back({std::move(own), names, false});
    }
  }
  return found;
}

std::vector<Candidate> linear_candidates(const InnerProduct& product) {
  struct Try {
    MatrixLayouts layouts;
    const char* name;
  };
  std::vector<Candidate> found;
  for (const Try& t :
       {Try{{Tag::ab, Tag::ab}, "plain, weights plain"}, Try{{Tag::ab, Tag::ba}, "plain, weights transposed"},
        Try{{Tag::ab, Tag::any}, "plain, weights any"}, Try{{Tag::any, Tag::any}, "any"}}) {
    const std::optional<ProductPrimitive> made = make_inner_product(product, t.layouts);
    if (!made) continue;
    const bool is_planned = t.layouts.activations == Tag::ab && t.layouts.weight == Tag::ab;
    found.push_back({candidate_of(product.direction, *made), t.name, is_planned});
  }
  return found;
}

}  // namespace

std::string product_key(const Graph& graph, const Node& node, int threads) {
  if (is_convolution(node)) return bare_convolution_of(graph, node, threads).key();
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
  std::vector<Candidate> found = is_convolution(node)
                                     ? convolution_candidates(bare_convolution_of(graph, node, threads))
                                     : linear_candidates(inner_product_of(graph, node));
  // Reference code is up to a thousand times slower: not worth the time to measure it.
  const auto is_reference = [](const Candidate& c) { return is_reference_implementation(c.product.implementation); };
  if (!std::all_of(found.begin(), found.end(), is_reference)) std::erase_if(found, is_reference);
  return found;
}

}  // namespace athanor::cpu
