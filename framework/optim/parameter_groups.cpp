#include "optim/parameter_groups.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/error.h"

namespace athanor {
namespace {

void check_pattern(std::size_t group, const std::string& pattern, const std::vector<std::string>& names) {
  int least = std::numeric_limits<int>::max();
  const std::string* nearest = nullptr;
  for (const std::string& name : names) {
    const int distance = pattern_distance(pattern, name);
    if (distance == 0) return;
    if (distance < least) {
      least = distance;
      nearest = &name;
    }
  }
  throw UsageError("optimizer.groups[{}].match: '{}' matches no parameter; {}", group, pattern,
                   nearest == nullptr ? "the model has none" : fmt::format("the nearest one is '{}'", *nearest));
}

}  // namespace

int pattern_distance(std::string_view pattern, std::string_view text) {
  // Wagner & Fischer 1974, where a `*` takes any number of characters for nothing.
  std::vector<int> row(text.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (const char wanted : pattern) {
    int diagonal = row[0];
    if (wanted != '*') ++row[0];
    for (std::size_t j = 1; j < row.size(); ++j) {
      const int above = row[j];
      if (wanted == '*') {
        row[j] = std::min(above, row[j - 1]);
      } else {
        const int replaced = diagonal + (wanted == '?' || wanted == text[j - 1] ? 0 : 1);
        row[j] = std::min({replaced, above + 1, row[j - 1] + 1});
      }
      diagonal = above;
    }
  }
  return row.back();
}

ParameterSettings settings_for(std::string_view parameter, const OptimizerSpec& spec,
                               const std::vector<ParameterGroup>& groups) {
  for (const ParameterGroup& group : groups) {
    const bool matches = std::any_of(group.match.begin(), group.match.end(), [&](const std::string& pattern) {
      return pattern_distance(pattern, parameter) == 0;
    });
    if (matches) return {group.weight_decay.value_or(spec.weight_decay), group.lr_scale.value_or(1)};
  }
  return {spec.weight_decay, 1};
}

void check_groups(const std::vector<ParameterGroup>& groups, const std::vector<std::string>& names) {
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (groups[i].match.empty())
      throw UsageError("optimizer.groups[{}].match is empty; name the parameters it is for", i);
    // Written so that not-a-number fails too.
    const auto check = [&](std::string_view key, const std::optional<double>& value) {
      if (value && !(*value >= 0)) throw UsageError("optimizer.groups[{}].{} is {}, want 0 or more", i, key, *value);
    };
    check("weight_decay", groups[i].weight_decay);
    check("lr_scale", groups[i].lr_scale);
    for (const std::string& pattern : groups[i].match) check_pattern(i, pattern, names);
  }
}

}  // namespace athanor
