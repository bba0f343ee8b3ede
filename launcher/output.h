// The one JSON object that `--json` promises as the last line of standard output, also where a command fails.
#pragma once

#include <string>

#include "base/error.h"

namespace athanor {

/// Prints the line.
void print_json(const std::string& object);

/// Prints `{"status": "failed", "error": …, "exit_code": …}`, unless print_json was called before.
void print_json_of_failure(const std::string& message, ExitCode code);

}  // namespace athanor
