#include "comm/rank_report.h"

#include <algorithm>

namespace athanor {

RankVerdict judge_ranks(std::span<const RankReport> reports, std::span<float> times) {
  RankVerdict verdict;
  verdict.stop = std::ranges::any_of(reports, [](const RankReport& rank) { return rank.stop != 0; });
  std::ranges::transform(reports, times.begin(), &RankReport::compute_s);
  const auto slowest = std::ranges::max_element(times);
  verdict.slowest_rank = static_cast<int>(slowest - times.begin());
  const double longest_s = *slowest;
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::ranges::nth_element(times, middle);
  verdict.lag_s = longest_s - static_cast<double>(*middle);
  return verdict;
}

}  // namespace athanor
