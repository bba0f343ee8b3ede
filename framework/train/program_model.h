// What recipe.yaml says of a network that a C++ program brings.
#pragma once

#include <string>

#include "graph/graph.h"

namespace athanor {

/// Stands for a network that no recipe describes: another network is another experiment.
std::string program_model_text(const Graph& graph);

}  // namespace athanor
