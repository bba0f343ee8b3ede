#include "io/checkpoint_writer.h"

#include <exception>
#include <new>

#include "base/error.h"

namespace athanor {
namespace {

/// Runs `work`; what it throws, in words, or nothing.
template <typename Work>
std::string error_text_of(Work&& work) {
  try {
    work();
    return {};
  } catch (const std::bad_alloc&) {
    return "cannot write checkpoint: out of memory";
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

CheckpointWriter::CheckpointWriter() : thread_([this] { run(); }) {}

CheckpointWriter::~CheckpointWriter() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CheckpointWriter::start(std::filesystem::path path, std::int64_t step, CheckpointSources sources,
                             std::function<void()> after) {
  {
    const std::lock_guard lock(mutex_);
    ATHANOR_CHECK(!job_, "a checkpoint is still being written");
    job_ = Job{std::move(path), step, std::move(sources), std::move(after)};
  }
  changed_.notify_all();
}

bool CheckpointWriter::busy() const {
  const std::lock_guard lock(mutex_);
  return job_.has_value();
}

std::optional<CheckpointWriter::Outcome> CheckpointWriter::take_outcome() {
  const std::lock_guard lock(mutex_);
  if (outcomes_.empty()) return std::nullopt;
  Outcome outcome = std::move(outcomes_.front());
  outcomes_.pop_front();
  return outcome;
}

void CheckpointWriter::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !job_; });
}

void CheckpointWriter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return job_ || ending_; });
    if (!job_) return;
    lock.unlock();
    Outcome outcome{.path = job_->path, .step = job_->step};
    outcome.error = error_text_of([&] { outcome.written = write_checkpoint(job_->path, job_->sources); });
    if (outcome.error.empty() && job_->after) outcome.after_error = error_text_of(job_->after);
    lock.lock();
    outcomes_.push_back(std::move(outcome));
    job_.reset();
    changed_.notify_all();
  }
}

}  // namespace athanor
