// How fast the loader is, alone: what `athanor bench loader` prints.
#pragma once

#include <cstdint>

#include "data/loader.h"

namespace athanor {

struct LoaderBenchmark {
  std::int64_t batches = 0;
  std::int64_t images = 0;
  double seconds = 0;
  double images_per_s = 0;
  double wait_s = 0;         ///< time the consumer waited for data
  double wait_share = 0;     ///< wait_s / seconds
  double first_batch_s = 0;  ///< from construction to the first batch; not part of `seconds`
};

/// Takes batches for `seconds` (evaluate: from the front again at the end). With `step_s` 0 the consumer does nothing
/// with them, so images_per_s is the loader's ceiling; otherwise it works for `step_s` on each, as a training step
/// would, and wait_share is what the step would lose. Throws what Loader throws.
LoaderBenchmark run_loader_benchmark(const Dataset& dataset, LoaderOptions options, double seconds, double step_s = 0);

}  // namespace athanor
