#include "train/checkpointing.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/log.h"
#include "io/state_sources.h"
#include "train/units_text.h"
#include "train/verify_ranks.h"

namespace athanor {
namespace {

/// While it lives, ranks wait for rank 0's disk, which may be slow and is no lost peer.
class Patience {
 public:
  explicit Patience(Communicator& communicator) : communicator_(communicator), before_s_(communicator.timeout_s()) {
    communicator_.set_timeout(std::max(before_s_, kDiskTimeout_s));
  }
  ~Patience() { communicator_.set_timeout(before_s_); }
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

 private:
  static constexpr double kDiskTimeout_s = 3600;
  Communicator& communicator_;
  double before_s_;
};

double ms_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Checkpointing::Checkpointing(const CheckpointingParts& parts) : parts_(parts) {
  tally_.newest_step = parts_.start_step;
  if (parts_.folder.empty()) return;
  entries_ = parts_.executable.list_state();
  snapshot_ = parts_.executable.make_snapshot();
  writer_ = std::make_unique<CheckpointWriter>();
}

Checkpointing::~Checkpointing() = default;

bool Checkpointing::is_due(std::int64_t step, std::int64_t steps_per_epoch, bool is_best) const {
  const std::int64_t by_steps = parts_.settings.every_steps, by_epochs = parts_.settings.every_epochs * steps_per_epoch;
  if (by_steps > 0 && step % by_steps == 0) return true;
  if (by_epochs > 0 && step % by_epochs == 0) return true;
  // The best one can be kept only if it is there; who wants none but the last gets none but the last.
  return is_best && parts_.settings.best && (by_steps > 0 || by_epochs > 0);
}

void Checkpointing::wait_for_room(std::int64_t step) {
  if (!writer_) return;
  if (writer_->busy() && !said_slow_) {
    said_slow_ = true;
    log_warning(
        "step {}: training waits, because the checkpoint before is still being written; checkpoint less often, or "
        "to a faster disk",
        step);
  }
  writer_->wait();
  poll();
}

CheckpointSources Checkpointing::sources(const CheckpointMeta& meta) const {
  CheckpointSources sources{meta, state_sources(entries_, *snapshot_)};
  // What the metrics say of the steps up to here must outlive the machine if the checkpoint does: a run that goes on
  // from it writes no line of them again. Done where it keeps nobody waiting.
  sources.tensors.front().read = [&metrics = parts_.metrics,
                                  read = sources.tensors.front().read](std::span<float> values) {
    metrics.sync();
    read(values);
  };
  return sources;
}

void Checkpointing::save(const CheckpointMeta& meta, std::optional<std::int64_t> best_step) {
  const auto start = std::chrono::steady_clock::now();
  const Patience patience(parts_.communicator);
  wait_for_room(meta.step);
  want_same_weights(parts_.executable, parts_.communicator, meta.step);
  parts_.metrics.flush();
  parts_.executable.capture(snapshot_.get());
  saved_step_ = meta.step;
  last_is_written_ = false;
  stall_ms_ = ms_since(start);
  if (!writer_) return;
  const CheckpointFolder folder(parts_.folder);
  const auto prune = [folder, settings = parts_.settings, best_step, step = meta.step] {
    folder.prune(settings.keep, settings.keep_every, settings.best ? best_step : std::nullopt, step);
  };
  writer_->start(folder.path_of(meta.step), meta.step, sources(meta), prune);
}

void Checkpointing::poll() {
  if (!writer_) return;
  while (const std::optional<CheckpointWriter::Outcome> outcome = writer_->take_outcome()) note(*outcome);
}

void Checkpointing::note(const CheckpointWriter::Outcome& outcome) {
  if (!outcome.error.empty()) {
    ++tally_.failed;
    if (parts_.settings.required) throw StorageError("step {}: {}", outcome.step, outcome.error);
    log_error("step {}: {}; training goes on, the earlier checkpoints stay, and the next one is tried when it is due",
              outcome.step, outcome.error);
    return;
  }
  if (!outcome.after_error.empty()) log_warning("step {}: {}", outcome.step, outcome.after_error);
  last_is_written_ = outcome.step == saved_step_;
  tally_.newest_step = outcome.step;
  ++tally_.written;
  tally_.stall_s += stall_ms_ * 1e-3;
  tally_.write_s += outcome.written.write_s;
  const std::string path = outcome.path.string();
  parts_.metrics.checkpoint({.step = outcome.step,
                             .stall_ms = stall_ms_,
                             .write_ms = outcome.written.write_s * 1e3,
                             .bytes = outcome.written.bytes,
                             .path = path});
  log_to_file_only(LogLevel::info,
                   fmt::format("step {}: saved {}, {} in {:.0f} ms, training stood still for {:.1f} ms", outcome.step,
                               path, bytes_text(outcome.written.bytes), outcome.written.write_s * 1e3, stall_ms_));
}

bool Checkpointing::finish() {
  if (writer_) {
    writer_->wait();
    poll();
  }
  const Patience patience(parts_.communicator);
  return parts_.communicator.agree(writer_ && !last_is_written_ ? 1 : 0, "last checkpoint") == 0;
}

}  // namespace athanor
