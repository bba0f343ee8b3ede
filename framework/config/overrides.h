// `KEY=VALUE` arguments of the command line, laid over a recipe before it is checked.
#pragma once

#include <span>
#include <string>

#include "config/document.h"
#include "config/problems.h"

namespace athanor {

/// Sets each key ("optimizer.lr=0.1", "data.augment.0.random_crop.padding=4", "model={name: resnet, depth: 18}"); the
/// value is YAML. Sections that are missing are made, an index one past a list's end appends. What was overridden
/// carries the argument as its place, so that the schema's complaint about it names the argument.
void apply_overrides(YamlNode& root, std::span<const std::string> overrides, Problems& problems);

}  // namespace athanor
