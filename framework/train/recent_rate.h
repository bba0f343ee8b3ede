// A rate as people read it: of the last few seconds, so that one slow step does not change it much.
#pragma once

namespace athanor {

class RecentRate {
 public:
  /// What was done in the `seconds` > 0 since the last call; counts the more the longer it took.
  void add(double amount, double seconds);
  /// Amount a second; 0 before the first call.
  double per_second() const { return rate_; }

 private:
  double rate_ = 0;
  bool is_known_ = false;
};

}  // namespace athanor
