#include "comm/tree_schedule.h"

#include <algorithm>

#include "base/error.h"

namespace athanor {
namespace {

/// The sum of a complete subtree, and where it lies.
struct Partial {
  int leaves;
  int buffer;
};

class Scheduling {
 public:
  Scheduling(int shards, int lanes) : lanes_(lanes) {
    ATHANOR_CHECK(shards >= 1 && lanes >= 1);
    for (int first = 0; first < shards; first += lanes) {
      const int count = std::min(lanes, shards - first);
      is_last_ = first + count == shards;
      schedule_.waves.emplace_back();
      for (int lane = 0; lane < count; ++lane) push({1, lane});
      if (is_last_) {
        while (partials_.size() > 1) merge_top();
      } else {
        save_lane_buffers();
      }
    }
    schedule_.result = partials_.front().buffer;
    schedule_.buffers = lanes_ + accumulators_;
  }

  TreeSchedule take() { return std::move(schedule_); }

 private:
  bool is_lane(int buffer) const { return buffer < lanes_; }

  int new_accumulator() {
    if (free_.empty()) return lanes_ + accumulators_++;
    const int buffer = free_.back();
    free_.pop_back();
    return buffer;
  }

  void push(Partial partial) {
    partials_.push_back(partial);
    while (partials_.size() > 1 && partials_.back().leaves == partials_[partials_.size() - 2].leaves) merge_top();
  }

  void merge_top() {
    const Partial right = partials_.back();
    partials_.pop_back();
    Partial& left = partials_.back();
    int target = left.buffer;
    if (is_lane(left.buffer)) {
      target = !is_lane(right.buffer) ? right.buffer : is_last_ ? left.buffer : new_accumulator();
    } else if (!is_lane(right.buffer)) {
      free_.push_back(right.buffer);
    }
    schedule_.waves.back().push_back({target, left.buffer, right.buffer});
    left = {left.leaves + right.leaves, target};
  }

  /// The next wave overwrites the lanes' buffers.
  void save_lane_buffers() {
    for (Partial& partial : partials_) {
      if (!is_lane(partial.buffer)) continue;
      const int target = new_accumulator();
      schedule_.waves.back().push_back({target, partial.buffer, -1});
      partial.buffer = target;
    }
  }

  int lanes_;
  int accumulators_ = 0;
  bool is_last_ = false;
  std::vector<int> free_;
  std::vector<Partial> partials_;
  TreeSchedule schedule_;
};

}  // namespace

TreeSchedule make_tree_schedule(int shards, int lanes) {
  return Scheduling(shards, lanes).take();
}

}  // namespace athanor
