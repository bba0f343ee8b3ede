// A look at a run for a terminal.
#pragma once

#include <string>

#include "launcher/supervisor/run_view.h"

namespace athanor {

/// Some lines, each ended. Control characters in what ranks and hosts say are replaced.
std::string status_text(const RunView& view);

}  // namespace athanor
