#include "train/program_model.h"

#include <fmt/format.h>
#include <xxhash.h>

#include "graph/op.h"

namespace athanor {

std::string program_model_text(const Graph& graph) {
  std::string text;
  for (const Node& node : graph.nodes) {
    if (node.phase != Phase::forward || node.op->name == "reorder") continue;
    text += fmt::format("{} {} {}", node.op->name, node.layer, graph.value(node.outputs[0]).shape.text());
    for (const auto& [key, value] : node.attributes.entries()) text += fmt::format(" {}={}", key, to_text(value));
    text += '\n';
  }
  return fmt::format("of a C++ program, graph {:016x}", XXH3_64bits(text.data(), text.size()));
}

}  // namespace athanor
