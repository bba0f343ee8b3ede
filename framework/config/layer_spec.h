// A layer as a recipe lists it, checked against its schema: `- conv: {channels: 32, kernel: 3}`.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/location.h"
#include "config/attributes.h"

namespace athanor {

struct LayerSpec {
  std::string kind;                                                      ///< "conv", "relu", "residual", …
  Attributes attributes;                                                 ///< defaults filled in
  std::vector<std::pair<std::string, std::vector<LayerSpec>>> children;  ///< "body", "shortcut", "layers"
  Location place;

  /// The list under `name`, or an empty one.
  const std::vector<LayerSpec>& list(std::string_view name) const {
    static const std::vector<LayerSpec> kEmpty;
    for (const auto& [key, layers] : children) {
      if (key == name) return layers;
    }
    return kEmpty;
  }
};

}  // namespace athanor
