// What an exception means to whoever started the program: an exit code and a message. The one place that knows how
// failures of libraries (no memory, no threads, a file system's) are told apart.
#pragma once

#include <string>

#include "base/error.h"

namespace athanor {

struct Failure {
  ExitCode code = ExitCode::done;
  std::string message;
};

/// Of the exception in hand; called in a `catch`.
Failure current_failure();

}  // namespace athanor
