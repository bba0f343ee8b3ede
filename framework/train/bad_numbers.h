// What is said when a loss or a gradient is no longer finite: where it began, and on which samples.
#pragma once

#include <cstdint>
#include <string>

#include "backend/executable.h"
#include "comm/communicator.h"

namespace athanor {

/// Which of a step's numbers is not finite: "the loss", "the gradient", "a batch statistic".
const char* what_is_bad(const StepResult& result);

struct BadStep {
  std::int64_t step = 0;  ///< counted from 1
  double lr = 0;          ///< in that step
  const StepResult& result;
};

/// Runs the batch again to find the first bad output on any rank, and throws NumericsError on all ranks alike. `full`
/// gets the message with every sample of the batch. Collective.
[[noreturn]] void fail_for_bad_numbers(Executable& executable, Communicator& communicator, const Batch& batch,
                                       const BadStep& bad, std::string& full);

}  // namespace athanor
