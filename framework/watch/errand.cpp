#include "watch/errand.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>

#include "watch/clock.h"
#include "watch/quiet_thread.h"

namespace athanor::watch {
namespace {

/// Never destroyed: the thread may hang until the process ends.
struct Errands {
  std::mutex mutex;
  std::condition_variable changed;
  std::function<void()> next;
  bool is_busy = false;  ///< from when it is given an errand until that has ended
  std::uint64_t ended = 0;
  std::atomic<int> thread{0};
  pid_t process = 0;  ///< a fork leaves the thread behind
};

std::mutex making;
std::atomic<Errands*> made{nullptr};

void work(Errands& errands) {
  errands.thread = static_cast<int>(syscall(SYS_gettid));
  std::unique_lock lock(errands.mutex);
  for (;;) {
    errands.changed.wait(lock, [&] { return errands.next != nullptr; });
    std::function<void()> act = std::exchange(errands.next, nullptr);
    lock.unlock();
    act();
    act = nullptr;
    lock.lock();
    errands.is_busy = false;
    ++errands.ended;
    errands.changed.notify_all();
  }
}

Errands* of_this_process() {
  Errands* const errands = made.load(std::memory_order_acquire);
  return errands != nullptr && errands->process == getpid() ? errands : nullptr;
}

}  // namespace

void prepare_errands() {
  const std::lock_guard lock(making);
  if (of_this_process() != nullptr) return;
  auto errands = std::make_unique<Errands>();
  errands->process = getpid();
  try {
    quiet_thread([errands = errands.get()] { work(*errands); }).detach();
  } catch (const std::system_error&) {
    // No thread can be had: what needs it goes without.
    return;
  }
  made.store(errands.release(), std::memory_order_release);
}

bool run_errand(std::function<void()> act, double wait_s) {
  Errands* const errands = of_this_process();
  if (errands == nullptr) return false;
  std::unique_lock lock(errands->mutex);
  if (errands->is_busy) return false;
  errands->is_busy = true;
  errands->next = std::move(act);
  const std::uint64_t ended = errands->ended + 1;
  errands->changed.notify_all();
  return errands->changed.wait_for(lock, in_ns(wait_s), [&] { return errands->ended >= ended; });
}

int errand_thread() {
  const Errands* const errands = of_this_process();
  return errands == nullptr ? 0 : errands->thread.load();
}

}  // namespace athanor::watch
