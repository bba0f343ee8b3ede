// The newest steps of a rank, from the sums in its beats: what one of them takes, and where its time goes. Of fixed
// size.
#pragma once

#include <array>
#include <cstddef>

#include "watch/job_picture.h"

namespace athanor::watch {

class RankHistory {
 public:
  /// Takes in a beat's sums and writes step_s, compute_s, data_wait_s and comm_wait_s. Where no step was made since the
  /// last beat, does nothing.
  void add(const StepTimes& times, RankPicture& rank);

 private:
  static constexpr std::size_t kSums = 40;
  static constexpr std::size_t kMedianOf = 15;
  static constexpr std::int64_t kMeanOver = 32;  ///< steps, or one beat's where those are more

  const StepTimes& back(std::size_t places) const { return sums_[(next_ + kSums - 1 - places) % kSums]; }

  std::array<StepTimes, kSums> sums_{};  ///< a ring; the first is the zero before all steps
  std::size_t next_ = 1, count_ = 1;
};

/// The element in the middle, the lower one of two; 0 of none. Reorders.
double median_of(double* values, std::size_t count);

}  // namespace athanor::watch
