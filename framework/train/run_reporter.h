// What a run says of itself to whoever watches the job: what it is, once, and how it gets on, with each step. Only rank
// 0 speaks; where nobody watches, nobody does.
#pragma once

#include <filesystem>

#include "comm/communicator.h"
#include "train/checkpointing.h"
#include "train/metrics.h"
#include "train/recent_rate.h"
#include "train/session.h"
#include "watch/job_picture.h"

namespace athanor {

/// Of a run whose files lie in `folder`.
watch::RunAbout about_run(const Recipe& recipe, const Sizing& sizing, const std::filesystem::path& folder);

class RunReporter {
 public:
  explicit RunReporter(Communicator& communicator)
      : heartbeats_(communicator.rank() == 0 ? communicator.heartbeats() : nullptr) {}

  void step(const StepLine& line, const CheckpointTally& checkpoints);
  void accuracy(double accuracy);
  /// What no step follows that would tell it: the last checkpoint.
  void saved(const CheckpointTally& checkpoints);

  /// As it was said last, or would have been.
  const watch::RunNews& news() const { return news_; }

 private:
  void take(const CheckpointTally& checkpoints);
  void tell();

  watch::HeartbeatClient* heartbeats_;
  watch::RunNews news_;
  RecentRate images_rate_;
  bool has_stepped_ = false;
};

}  // namespace athanor
