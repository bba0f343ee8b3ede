// The dotted keys that KEY=VALUE can set, from the schemas: what a user means who leaves the section out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace athanor {

/// "train.epochs", "optimizer.lr", …: the keys of the fixed sections and of all that is chosen by name. Lists (layers,
/// augmentations, parameter groups) are left out.
std::vector<std::string> override_keys();

/// The key that `name` means: itself, the first whose last part it is ("epochs": "train.epochs"), or the nearest of
/// those; '-' counts as '_'. None when nothing is close.
std::optional<std::string> override_key_meant(std::string_view name);

}  // namespace athanor
