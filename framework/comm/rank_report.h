// What the ranks tell each other in every step's own reduction.
#pragma once

#include <cstdint>
#include <span>

namespace athanor {

struct RankReport {
  std::int32_t stop = 0;  ///< nonzero: this rank was asked to stop
  float data_wait_s = 0;  ///< waited for the loader before this step
  float compute_s = 0;    ///< the back end fills it in: from the start of the step until its gradients were ready
};

/// What all ranks conclude from the reports of all.
struct RankVerdict {
  bool stop = false;     ///< whether any rank was asked to
  int slowest_rank = 0;  ///< whose gradients were ready last
  double lag_s = 0;      ///< how much later than the median rank's
};

/// `times`: scratch of a number for each report.
RankVerdict judge_ranks(std::span<const RankReport> reports, std::span<float> times);

}  // namespace athanor
