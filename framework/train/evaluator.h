// Exact accuracy and loss of a data set: every sample counts once, whatever the batch and the number of lanes.
#pragma once

#include <cstdint>
#include <functional>

#include "backend/executable.h"
#include "data/loader.h"

namespace athanor {

struct Evaluation {
  double loss = 0;      ///< mean over the samples
  double accuracy = 0;  ///< 0–1
  double top5 = 0;      ///< 0–1
  std::int64_t samples = 0;
};

/// Goes through `loader` (evaluate mode) from the front and restarts it at the end, for the next time.
/// `averaged`: with the averaged weights. `stop`: asked before every batch; where it says yes, the evaluation ends
/// there and `samples` is 0. Throws what the loader throws.
Evaluation evaluate(Executable& executable, Loader& loader, bool averaged, const std::function<bool()>& stop = {});

}  // namespace athanor
