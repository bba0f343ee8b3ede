// Between a requested stop and the step that all ranks agree on, nobody waits long for a rank that is gone.
#pragma once

#include <algorithm>
#include <atomic>
#include <optional>

#include "comm/communicator.h"
#include "train/stop.h"

namespace athanor {

/// Made before the executable, whose own groups of the ranks take it over. While it is on and a stop was requested, no
/// call waits for others longer than 5 s, or three steps where a step takes longer: ranks that run one shard more than
/// others keep them waiting for long in every step. Off, as at first, where a rank may have good reason to be late.
class StoppingBound {
 public:
  StoppingBound(Communicator& communicator, const StopSignals& stop) : communicator_(communicator), stop_(stop) {
    communicator_.set_limit([this] { return limit_s(); });
  }
  ~StoppingBound() { communicator_.set_limit({}); }
  StoppingBound(const StoppingBound&) = delete;
  StoppingBound& operator=(const StoppingBound&) = delete;

  /// Seconds that a call may wait now; none: as long as ever. From any thread.
  std::optional<double> limit_s() const {
    const double step_s = longest_step_s_.load(std::memory_order_relaxed);
    // Before the first step is done nobody knows what is long.
    if (!on_.load(std::memory_order_relaxed) || !stop_.requested() || step_s == 0) return std::nullopt;
    return std::max(kShortest_s, 3 * step_s);
  }
  void set(bool on) { on_.store(on, std::memory_order_relaxed); }
  void note_step(double seconds) {
    longest_step_s_.store(std::max(seconds, longest_step_s_.load(std::memory_order_relaxed)),
                          std::memory_order_relaxed);
  }

 private:
  static constexpr double kShortest_s = 5;

  Communicator& communicator_;
  const StopSignals& stop_;
  std::atomic<bool> on_{false};
  std::atomic<double> longest_step_s_{0};
};

}  // namespace athanor
