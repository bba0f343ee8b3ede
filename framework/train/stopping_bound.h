// Between a requested stop and the step that all ranks agree on, nobody waits long for a rank that is gone.
#pragma once

#include <atomic>

#include "comm/communicator.h"
#include "train/stop.h"

namespace athanor {

/// Made before the executable, whose own groups of the ranks take it over. While it is on and a stop was requested, no
/// call waits longer than Communicator::kStoppingTimeout_s for others; off, as at first, where a rank may have good
/// reason to be late.
class StoppingBound {
 public:
  StoppingBound(Communicator& communicator, const StopSignals& stop) : communicator_(communicator) {
    communicator_.set_stopping([this, &stop] { return on_.load(std::memory_order_relaxed) && stop.requested(); });
  }
  ~StoppingBound() { communicator_.set_stopping({}); }
  StoppingBound(const StoppingBound&) = delete;
  StoppingBound& operator=(const StoppingBound&) = delete;

  void set(bool on) { on_.store(on, std::memory_order_relaxed); }

 private:
  Communicator& communicator_;
  std::atomic<bool> on_{false};
};

}  // namespace athanor
