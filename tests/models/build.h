// Short ways to graphs for the tests of models.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "config/document.h"
#include "config/validate.h"
#include "models/training_graph.h"

namespace athanor::models_test {

inline GraphOptions images(std::int64_t batch, const Shape& image, std::int64_t classes) {
  GraphOptions options{.batch = batch, .channels = image[0], .height = image[1], .width = image[2], .classes = classes};
  options.mean.assign(static_cast<std::size_t>(image[0]), 0.5);
  options.std.assign(static_cast<std::size_t>(image[0]), 0.25);
  return options;
}

inline ModelSpec named(const std::string& name, const Attributes& attributes = {}) {
  ModelSpec model;
  model.name = name;
  model.attributes = attributes;
  return model;
}

/// A model from the YAML of its list of layers.
inline ModelSpec listed(const std::string& yaml) {
  Problems problems;
  ModelSpec model;
  model.layers = validate_layers(parse_yaml(yaml, "net.yaml"), "model.layers", problems);
  problems.throw_if_any();
  model.place = {"net.yaml", 1, 1};
  return model;
}

template <typename Action>
std::string usage_error(Action action) {
  try {
    action();
  } catch (const UsageError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no UsageError was thrown";
  return "";
}

inline std::vector<std::string> parameter_names(const Graph& graph) {
  std::vector<std::string> names;
  for (const ValueId id : graph.of_role(Role::parameter)) names.push_back(graph.value(id).name);
  return names;
}

}  // namespace athanor::models_test
