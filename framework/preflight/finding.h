// What one check of the pre-flight found.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace athanor {

enum class CheckStatus : std::uint8_t {
  ok,
  warning,  ///< works, but probably not as meant
  failed,
  skipped  ///< depends on a check that failed
};

struct Finding {
  std::string text;  ///< one line: what was found; what is wrong and what mends it
  CheckStatus status = CheckStatus::ok;
  ExitCode code = ExitCode::done;  ///< of a failure
};

}  // namespace athanor
