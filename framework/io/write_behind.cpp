#include "io/write_behind.h"

namespace athanor {

WriteBehind::WriteBehind(DurableFile& file, std::size_t block_bytes)
    : file_(file),
      block_bytes_(block_bytes),
      blocks_{std::unique_ptr<std::byte[]>(new std::byte[block_bytes]),
              std::unique_ptr<std::byte[]>(new std::byte[block_bytes])},
      thread_([this] { run(); }) {}

WriteBehind::~WriteBehind() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void WriteBehind::wait_until_idle(std::unique_lock<std::mutex>& lock) {
  changed_.wait(lock, [this] { return writing_.empty(); });
  if (failure_) std::rethrow_exception(failure_);
}

void WriteBehind::pass_on(std::size_t bytes) {
  {
    std::unique_lock lock(mutex_);
    wait_until_idle(lock);
    writing_ = block().first(bytes);
    filling_ = 1 - filling_;
  }
  changed_.notify_all();
}

void WriteBehind::finish() {
  std::unique_lock lock(mutex_);
  wait_until_idle(lock);
}

void WriteBehind::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return !writing_.empty() || ending_; });
    if (writing_.empty()) return;
    lock.unlock();
    std::exception_ptr failure;
    try {
      file_.append(writing_);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    failure_ = failure;
    writing_ = {};
    changed_.notify_all();
  }
}

}  // namespace athanor
