#include "comm/tree_schedule.h"

#include <algorithm>

#include "base/error.h"
#include "comm/tree.h"

namespace athanor {
namespace {

class Scheduling {
 public:
  Scheduling(int shards, ShardRange range, int lanes) : shards_(shards), lanes_(lanes) {
    ATHANOR_CHECK(0 <= range.first && range.first < range.last && range.last <= shards && lanes >= 1);
    for (int first = range.first; first < range.last; first += lanes) {
      const int count = std::min(lanes, range.last - first);
      is_last_ = first + count == range.last;
      schedule_.waves.emplace_back();
      for (int lane = 0; lane < count; ++lane) push({{first + lane, first + lane + 1}, lane});
      if (!is_last_) save_lane_buffers();
    }
    schedule_.pieces = std::move(partials_);
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

  void push(Piece piece) {
    partials_.push_back(piece);
    while (partials_.size() > 1 && are_siblings(shards_, partials_[partials_.size() - 2].shards, piece.shards)) {
      piece = merge_top();
    }
  }

  Piece merge_top() {
    const Piece right = partials_.back();
    partials_.pop_back();
    Piece& left = partials_.back();
    int target = left.buffer;
    if (is_lane(left.buffer)) {
      target = !is_lane(right.buffer) ? right.buffer : is_last_ ? left.buffer : new_accumulator();
    } else if (!is_lane(right.buffer)) {
      free_.push_back(right.buffer);
    }
    schedule_.waves.back().push_back({target, left.buffer, right.buffer});
    left = {{left.shards.first, right.shards.last}, target};
    return left;
  }

  /// The next wave overwrites the lanes' buffers.
  void save_lane_buffers() {
    for (Piece& partial : partials_) {
      if (!is_lane(partial.buffer)) continue;
      const int target = new_accumulator();
      schedule_.waves.back().push_back({target, partial.buffer, -1});
      partial.buffer = target;
    }
  }

  int shards_;
  int lanes_;
  int accumulators_ = 0;
  bool is_last_ = false;
  std::vector<int> free_;
  std::vector<Piece> partials_;
  TreeSchedule schedule_;
};

}  // namespace

TreeSchedule make_tree_schedule(int shards, ShardRange range, int lanes) {
  return Scheduling(shards, range, lanes).take();
}

}  // namespace athanor
