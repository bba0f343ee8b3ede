// Parameters with settings of their own, chosen by name: `groups: [{match: ["*.bn*", "*.bias"], weight_decay: 0}]`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "optim/optimizer.h"

namespace athanor {

struct ParameterGroup {
  std::vector<std::string> match;      ///< patterns: `*` any characters, dots too, `?` one
  std::optional<double> weight_decay;  ///< none: the optimizer's
  std::optional<double> lr_scale;      ///< none: 1
};

struct ParameterSettings {
  double weight_decay = 0;
  double lr_scale = 1;
  friend bool operator==(const ParameterSettings&, const ParameterSettings&) = default;
};

/// The least number of characters to insert, drop or replace so that `text` matches `pattern`; 0: it matches.
int pattern_distance(std::string_view pattern, std::string_view text);

/// The settings of a parameter: those of the first group that has a matching pattern, else the optimizer's.
ParameterSettings settings_for(std::string_view parameter, const OptimizerSpec& spec,
                               const std::vector<ParameterGroup>& groups);

/// Throws UsageError for a pattern that matches none of the names, with the nearest one, and for a group without
/// patterns or with a negative setting.
void check_groups(const std::vector<ParameterGroup>& groups, const std::vector<std::string>& names);

}  // namespace athanor
