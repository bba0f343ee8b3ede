// Which launcher started this process, as its environment tells.
#pragma once

#include <functional>
#include <string>

#include "preflight/finding.h"

namespace athanor {

/// The value of an environment variable; nullptr where it is not set.
using Environment = std::function<const char*(const char* name)>;

/// Names the launcher and whether PMIx joined the ranks. Warns of a process alone where a scheduler meant several.
/// `ranks`: that found each other.
Finding judge_launcher(const Environment& environment, int ranks);

}  // namespace athanor
