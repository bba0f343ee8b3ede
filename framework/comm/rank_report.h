// What the ranks tell each other in every step's own reduction.
#pragma once

#include <cstdint>

namespace athanor {

struct RankReport {
  std::int32_t stop = 0;  ///< nonzero: this rank was asked to stop
  float data_wait_s = 0;  ///< waited for the loader before this step
  float compute_s = 0;    ///< the back end fills it in: from the start of the step until its gradients were ready
};

}  // namespace athanor
