#include "data/file_watch.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace athanor {
namespace {

constexpr std::chrono::seconds kLookEvery{1};
/// For a look to end by itself; longer than any takes that needs only ask the file system.
constexpr std::chrono::milliseconds kLookEnd{200};

}  // namespace

struct FileWatch::State {
  std::vector<std::shared_ptr<const SourceFiles>> files;
  std::function<void(std::exception_ptr)> on_change;
  std::thread thread;

  std::mutex mutex;
  std::condition_variable changed;  ///< of the two below
  bool stop = false;
  bool has_ended = false;

  std::exception_ptr look() const {
    try {
      for (const auto& set : files) set->want_unchanged();
      return nullptr;
    } catch (...) {
      return std::current_exception();
    }
  }

  void keep_looking() {
    std::unique_lock lock(mutex);
    while (!changed.wait_for(lock, kLookEvery, [this] { return stop; })) {
      lock.unlock();
      const std::exception_ptr change = look();
      lock.lock();
      if (!change) continue;
      if (!stop) on_change(change);
      break;
    }
    has_ended = true;
    changed.notify_all();
  }
};

FileWatch::FileWatch(std::vector<std::shared_ptr<const SourceFiles>> files,
                     std::function<void(std::exception_ptr)> on_change)
    : state_(std::make_shared<State>()) {
  state_->files = std::move(files);
  state_->on_change = std::move(on_change);
  state_->thread = std::thread([state = state_] { state->keep_looking(); });
}

FileWatch::~FileWatch() {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  state.stop = true;
  state.changed.notify_all();
  const bool has_ended = state.changed.wait_for(lock, kLookEnd, [&] { return state.has_ended; });
  lock.unlock();
  if (has_ended) {
    state.thread.join();
  } else {
    state.thread.detach();
  }
}

}  // namespace athanor
