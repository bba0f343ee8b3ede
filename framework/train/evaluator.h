// Exact accuracy and loss of a data set: every sample counts once, and the result has the same bits whatever the batch,
// the number of lanes and the number of ranks.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "backend/executable.h"
#include "comm/communicator.h"
#include "data/loader.h"

namespace athanor {

struct Evaluation {
  double loss = 0;      ///< mean over the samples; with class weights, their sum by the sum of the labels' weights
  double accuracy = 0;  ///< 0–1
  double top5 = 0;      ///< 0–1
  std::int64_t samples = 0;
};

/// Goes through `loader` (evaluate mode; this rank's rows of each batch) from the front and restarts it at the end, for
/// the next time. `class_weights`: those of the loss (class_weights_of), or none; the mean is PyTorch's, over the whole
/// split. `averaged`: with the averaged weights. `stop`: asked before every batch, on all ranks or on none; where it
/// says yes on any, the evaluation ends there and `samples` is 0. Collective. Throws what the loader and the
/// communicator throw. Allocates when it begins and when it ends, nothing for each batch.
Evaluation evaluate(Executable& executable, Loader& loader, Communicator& communicator,
                    std::span<const double> class_weights, bool averaged, const std::function<bool()>& stop = {});

/// What a rank calls that has no rows, while the others evaluate `samples` samples. Collective.
void evaluate_nothing(Communicator& communicator, std::int64_t samples);

}  // namespace athanor
