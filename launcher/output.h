// The one JSON object that `--json` promises as the last line of standard output, also where a command fails.
#pragma once

#include <string>

#include "base/failure.h"

namespace athanor {

/// Prints the line.
void print_json(const std::string& object);

/// The command line has `--json`: a failure is to be an object too.
void promise_json();

/// Prints "athanor: MESSAGE" on standard error and, where JSON was promised and not printed yet,
/// `{"status": "failed", "error": …, "exit_code": …}` on standard output.
void report_failure(const Failure& failure);

}  // namespace athanor
