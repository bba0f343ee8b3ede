// What a run knows beside its tensors: counters, schedule, results so far. With the tensors it is everything that the
// next step depends on, and so it goes into every checkpoint. The same on all ranks.
#pragma once

#include <cstdint>
#include <limits>

#include "optim/schedule.h"

namespace athanor {

struct RunState {
  std::int64_t step = 0;     ///< updates asked for so far, skipped ones included
  std::int64_t updates = 0;  ///< steps that were not skipped
  std::int64_t skipped = 0;
  PlateauState plateau;
  double best_accuracy = std::numeric_limits<double>::quiet_NaN();  ///< 0–1, of the split that drives it
  std::int64_t best_step = -1;                                      ///< when it was measured; −1: never
  std::int64_t evaluated_step = -1;  ///< the last one whose evaluation ended; a stop may have cut one short since
  double accuracy = std::numeric_limits<double>::quiet_NaN();  ///< last evaluation of the test split
  double loss = std::numeric_limits<double>::quiet_NaN();      ///< of the last step
  double train_seconds = 0;                                    ///< of all attempts
};

}  // namespace athanor
