#include "watch/rank_history.h"

#include <algorithm>

namespace athanor::watch {

double median_of(double* values, std::size_t count) {
  if (count == 0) return 0;
  double* const middle = values + (count - 1) / 2;
  std::nth_element(values, middle, values + count);
  return *middle;
}

void RankHistory::add(const StepTimes& times, RankPicture& rank) {
  if (times.steps <= back(0).steps) return;
  sums_[next_] = times;
  next_ = (next_ + 1) % kSums;
  count_ = std::min(count_ + 1, kSums);

  std::array<double, kMedianOf> steps_s{};
  const std::size_t intervals = std::min(count_ - 1, kMedianOf);
  for (std::size_t i = 0; i < intervals; ++i) {
    steps_s[i] = (back(i).step_s - back(i + 1).step_s) / static_cast<double>(back(i).steps - back(i + 1).steps);
  }
  rank.step_s = median_of(steps_s.data(), intervals);

  std::size_t places = 1;
  while (places + 1 < count_ && times.steps - back(places).steps < kMeanOver) ++places;
  const StepTimes& before = back(places);
  const auto steps = static_cast<double>(times.steps - before.steps);
  rank.compute_s = (times.compute_s - before.compute_s) / steps;
  rank.data_wait_s = (times.data_wait_s - before.data_wait_s) / steps;
  rank.comm_wait_s = (times.comm_wait_s - before.comm_wait_s) / steps;
}

}  // namespace athanor::watch
