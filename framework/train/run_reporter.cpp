#include "train/run_reporter.h"

#include <algorithm>

#include "watch/heartbeat_client.h"

namespace athanor {

watch::RunAbout about_run(const Recipe& recipe, const Sizing& sizing, const std::filesystem::path& folder) {
  const std::int64_t by_steps = recipe.checkpoint.every_steps,
                     by_epochs = recipe.checkpoint.every_epochs * sizing.steps_per_epoch;
  std::error_code ignored;
  return {.name = recipe.name,
          .run_folder = std::filesystem::absolute(folder, ignored).string(),
          .total_steps = sizing.total_steps,
          .steps_per_epoch = sizing.steps_per_epoch,
          .batch = recipe.train.batch,
          .shards = sizing.shards,
          .checkpoint_every_steps =
              by_steps > 0 && by_epochs > 0 ? std::min(by_steps, by_epochs) : std::max(by_steps, by_epochs),
          .watchdog_timeout_s = recipe.watchdog.timeout_s.value_or(0)};
}

void RunReporter::step(const StepLine& line, const CheckpointTally& checkpoints) {
  // The first step of a process also pays for what is done once.
  if (has_stepped_ && line.step_ms > 0) images_rate_.add(line.images_per_s * line.step_ms / 1000, line.step_ms / 1000);
  has_stepped_ = true;
  news_.step = line.step;
  news_.samples = line.samples;
  news_.epoch = line.epoch;
  news_.loss = line.loss;
  news_.lr = line.lr;
  news_.images_per_s = images_rate_.per_second();
  take(checkpoints);
  tell();
}

void RunReporter::accuracy(double accuracy) {
  news_.accuracy = accuracy;
  tell();
}

void RunReporter::saved(const CheckpointTally& checkpoints) {
  take(checkpoints);
  tell();
}

void RunReporter::take(const CheckpointTally& checkpoints) {
  news_.checkpoint_step = checkpoints.newest_step;
  news_.failed_saves = checkpoints.failed;
  if (checkpoints.written == 0) return;
  news_.checkpoint_stall_s = checkpoints.stall_s / static_cast<double>(checkpoints.written);
  news_.checkpoint_write_s = checkpoints.write_s / static_cast<double>(checkpoints.written);
}

void RunReporter::tell() {
  if (heartbeats_ != nullptr) heartbeats_->set_news(news_);
}

}  // namespace athanor
