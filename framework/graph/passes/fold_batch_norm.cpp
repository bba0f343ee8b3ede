#include "graph/passes/fold_batch_norm.h"

#include <algorithm>

#include "graph/builder.h"
#include "graph/op.h"
#include "graph/passes/dead_code.h"

namespace athanor {
namespace {

// Positions in the inputs of batch_norm_inference and of conv2d; see graph/ops/batch_norm.cpp and conv2d.cpp.
constexpr std::size_t kX = 0, kGamma = 1, kBeta = 2, kMean = 3, kVar = 4, kNormResidual = 5;
constexpr std::size_t kWeight = 1, kBias = 2;

class Folding {
 public:
  explicit Folding(Graph graph) : given_(std::move(graph)), readers_(given_.values.size(), 0) {
    for (const Node& node : given_.nodes) {
      for (const ValueId input : node.inputs) {
        if (input != kNoValue) ++readers_[static_cast<std::size_t>(input)];
      }
    }
    for (const ValueId root : given_.roots()) ++readers_[static_cast<std::size_t>(root)];
  }

  Graph run() {
    std::vector<NodeId> folded(given_.nodes.size(), -1);  // per norm: the convolution before it
    std::vector<bool> moves(given_.nodes.size(), false);
    for (std::size_t id = 0; id < given_.nodes.size(); ++id) {
      const NodeId conv = convolution_of(given_.nodes[id]);
      if (conv < 0) continue;
      folded[id] = conv;
      moves[static_cast<std::size_t>(conv)] = true;
    }
    if (std::none_of(moves.begin(), moves.end(), [](bool moved) { return moved; })) return std::move(given_);
    result_ = given_;
    result_.nodes.clear();
    for (std::size_t id = 0; id < given_.nodes.size(); ++id) {
      if (moves[id]) continue;
      if (folded[id] < 0) {
        result_.nodes.push_back(given_.nodes[id]);
      } else {
        fold(given_.node(folded[id]), given_.nodes[id]);
      }
    }
    return remove_dead_code(std::move(result_));  // the casts of weights
  }

 private:
  /// The float32 weights that a convolution is given, before they were cast, or kNoValue where a node makes them.
  ValueId given_weight(const Node& conv) const {
    ValueId weight = conv.inputs[kWeight];
    const NodeId maker = given_.value(weight).producer;
    if (maker >= 0 && given_.node(maker).op->name == "cast") weight = given_.node(maker).inputs[0];
    return given_.value(weight).role != Role::computed ? weight : kNoValue;
  }

  NodeId convolution_of(const Node& norm) const {
    if (norm.op->name != "batch_norm_inference") return -1;
    const ValueId x = norm.inputs[kX];
    const NodeId id = given_.value(x).producer;
    if (id < 0 || readers_[static_cast<std::size_t>(x)] != 1) return -1;
    const Node& conv = given_.node(id);
    const bool is_bare = conv.op->name == "conv2d" && conv.attributes.text("activation") == "none";
    return is_bare && given_weight(conv) != kNoValue ? id : -1;
  }

  void fold(const Node& conv, const Node& norm) {
    Builder builder(result_);
    Scope::set(builder, conv.layer, conv.place);
    const bool has_bias = conv.inputs.size() > kBias && conv.inputs[kBias] != kNoValue;
    const std::string dtype(name_of(given_.value(conv.inputs[kWeight]).dtype));
    const std::vector<ValueId> folded =
        builder.add("fold_batch_norm",
                    {given_weight(conv), norm.inputs[kGamma], norm.inputs[kBeta], norm.inputs[kMean], norm.inputs[kVar],
                     has_bias ? conv.inputs[kBias] : kNoValue},
                    {{"eps", norm.attributes.real("eps")}, {"dtype", dtype}});
    Node whole = conv;
    whole.inputs = {conv.inputs[0], folded[0], folded[1]};
    const bool has_residual = norm.inputs.size() > kNormResidual && norm.inputs[kNormResidual] != kNoValue;
    if (has_residual) whole.inputs.push_back(norm.inputs[kNormResidual]);
    whole.outputs[0] = norm.outputs[0];
    whole.attributes.set("activation", norm.attributes.text("activation"));
    result_.nodes.push_back(std::move(whole));
  }

  Graph given_;
  Graph result_;
  std::vector<int> readers_;
};

}  // namespace

Graph fold_batch_norms(Graph graph) {
  return Folding(std::move(graph)).run();
}

}  // namespace athanor
