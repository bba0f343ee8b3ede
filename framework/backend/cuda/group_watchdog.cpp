#include "backend/cuda/group_watchdog.h"

#include <fmt/format.h>

#include <memory>

#include "base/log.h"

namespace athanor::cuda {
namespace {

using Clock = std::chrono::steady_clock;

std::chrono::duration<double> seconds(double s) {
  return std::chrono::duration<double>(s);
}

double elapsed_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

bool abort_within(DeviceGroup& group, double bound_s) {
  struct Done {
    std::mutex mutex;
    std::condition_variable changed;
    bool is_set = false;
  };
  const auto done = std::make_shared<Done>();
  std::thread([&group, done] {
    group.abort();
    const std::lock_guard lock(done->mutex);
    done->is_set = true;
    done->changed.notify_all();
  }).detach();
  std::unique_lock lock(done->mutex);
  return done->changed.wait_for(lock, seconds(bound_s), [&] { return done->is_set; });
}

GroupWatchdog::GroupWatchdog(DeviceGroup& group, const ProgressBoard& board, Communicator& communicator,
                             WatchdogOptions options)
    : group_(group),
      board_(board),
      communicator_(communicator),
      options_(std::move(options)),
      timeout_s_(options_.timeout_s) {
  if (!options_.leave) {
    options_.leave = [this](const std::string&) { communicator_.leave(ExitCode::peer); };
  }
  thread_ = std::thread([this] { watch(); });
}

GroupWatchdog::~GroupWatchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  thread_.join();
}

void GroupWatchdog::set_capturing(bool capturing) {
  const std::lock_guard lock(mutex_);
  is_capturing_ = capturing;
}

void GroupWatchdog::watch() {
  std::unique_lock lock(mutex_);
  while (!stop_.wait_for(lock, seconds(options_.poll_s), [&] { return stopping_; })) {
    const std::string trouble = find_trouble();
    if (trouble.empty()) continue;
    lock.unlock();
    end(trouble);
    return;
  }
}

/// "" where there is none.
std::string GroupWatchdog::find_trouble() {
  const std::optional<ProgressBoard::Open> open = board_.open_item();
  if (open != open_) {
    open_ = open;
    open_since_ = Clock::now();
  }
  const std::string error = is_capturing_ ? "" : group_.poll();
  if (!error.empty()) {
    return open ? fmt::format("{} failed: {}", describe(*open), error)
                : fmt::format("the group of GPUs failed: {}", error);
  }
  const double waited_s = open ? elapsed_since(open_since_) : 0;
  if (waited_s <= timeout_s_) return "";
  return fmt::format("{} has not ended within {:.1f} s: a rank or the network between the GPUs is lost",
                     describe(*open), waited_s);
}

std::string GroupWatchdog::describe(const ProgressBoard::Open& open) const {
  const std::int64_t step = open.sequence + step_offset_;
  if (open.item + 1 == board_.items()) return fmt::format("the exchange of reports after step {}", step);
  return fmt::format("the sum of gradient bucket {} of step {}", open.item, step);
}

void GroupWatchdog::end(const std::string& trouble) {
  const std::string message = fmt::format("{}: {}", communicator_.name_of(communicator_.rank()), trouble);
  log_error("{}", message);
  abort_within(group_, options_.abort_s);
  options_.leave(message);
}

}  // namespace athanor::cuda
