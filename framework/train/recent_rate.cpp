#include "train/recent_rate.h"

#include <cmath>

namespace athanor {
namespace {

/// After this time a third of what was before still counts.
constexpr double kSmoothing_s = 3;

}  // namespace

void RecentRate::add(double amount, double seconds) {
  const double share = is_known_ ? 1 - std::exp(-seconds / kSmoothing_s) : 1;
  rate_ += share * (amount / seconds - rate_);
  is_known_ = true;
}

}  // namespace athanor
