#include "data/loader.h"

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <vector>

#include "base/error.h"
#include "data/file_watch.h"

namespace athanor {
namespace {

using Clock = std::chrono::steady_clock;

struct Slot {
  BatchStorage storage;
  std::int64_t filled_with = -1;  ///< number of the batch that is ready here
  std::exception_ptr error;
};

}  // namespace

/// Batch k lives in slot k mod depth. Everything below `mutex` is guarded by it, but for the contents of a slot's
/// batch: those belong to the worker that took ticket k until `filled_with` is k, and to the consumer from then until
/// release.
struct Loader::State {
  BatchSource source;
  std::vector<Slot> ring;
  bool holding = false;  ///< consumer only: a batch is out
  double last_wait_s = 0;
  double total_wait_s = 0;

  std::mutex mutex;
  std::condition_variable room;    ///< workers: a slot came free, or stop
  std::condition_variable filled;  ///< consumer: a batch is ready, or a worker is idle
  std::int64_t tickets = 0;        ///< batches handed to workers
  std::int64_t consumed = 0;       ///< batches given back
  int filling = 0;                 ///< workers inside fill
  bool stop = false;
  bool paused = false;
  std::exception_ptr change;  ///< of a watched file

  boost::asio::thread_pool pool;
  std::optional<FileWatch> watch;

  State(const Dataset& dataset, LoaderOptions options)
      : source(dataset, std::move(options)), pool(static_cast<std::size_t>(std::max(source.options().workers, 1))) {
    const int depth = std::max(source.options().depth, 2);
    ring.reserve(static_cast<std::size_t>(depth));
    for (int i = 0; i < depth; ++i) {
      ring.push_back({BatchStorage(source.rows(), dataset.info(), source.options().memory), -1, nullptr});
    }
  }

  Slot& slot(std::int64_t number) { return ring[static_cast<std::size_t>(number) % ring.size()]; }
  bool has_work() const {
    return !paused && tickets < source.batches() && tickets < consumed + static_cast<std::int64_t>(ring.size());
  }

  void watch_files() {
    std::vector<std::shared_ptr<const SourceFiles>> files = source.options().watched;
    std::erase(files, nullptr);
    if (files.empty()) return;
    watch.emplace(std::move(files), [this](std::exception_ptr error) {
      const std::lock_guard lock(mutex);
      change = std::move(error);
      filled.notify_one();
    });
  }

  /// One task for a worker's whole life, so that Asio queues nothing per batch.
  void work() {
    std::unique_lock lock(mutex);
    while (true) {
      room.wait(lock, [&] { return stop || has_work(); });
      if (stop) return;
      const std::int64_t number = tickets++;
      ++filling;
      lock.unlock();
      std::exception_ptr error;
      try {
        source.fill(number, slot(number).storage.batch());
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      --filling;
      slot(number).error = error;
      slot(number).filled_with = number;
      filled.notify_one();
    }
  }
};

Loader::Loader(const Dataset& dataset, LoaderOptions options)
    : state_(std::make_unique<State>(dataset, std::move(options))) {
  state_->watch_files();
  const int workers = std::max(state_->source.options().workers, 1);
  for (int i = 0; i < workers; ++i) {
    boost::asio::post(state_->pool, [state = state_.get()] { state->work(); });
  }
}

Loader::~Loader() {
  state_->watch.reset();
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->room.notify_all();
  state_->pool.join();
}

const Batch& Loader::next() {
  release();
  State& s = *state_;
  ATHANOR_CHECK(remaining() > 0, "the loader has no batch left");
  const Clock::time_point start = Clock::now();
  std::unique_lock lock(s.mutex);
  Slot& slot = s.slot(s.consumed);
  s.filled.wait(lock, [&] { return slot.filled_with == s.consumed || s.change; });
  s.last_wait_s = std::chrono::duration<double>(Clock::now() - start).count();
  s.total_wait_s += s.last_wait_s;
  if (s.change) std::rethrow_exception(s.change);
  if (slot.error) std::rethrow_exception(slot.error);
  s.holding = true;
  return slot.storage.batch();
}

void Loader::release() {
  State& s = *state_;
  if (!s.holding) return;
  s.holding = false;
  {
    const std::lock_guard lock(s.mutex);
    ++s.consumed;
  }
  s.room.notify_one();
}

void Loader::restart() {
  State& s = *state_;
  s.holding = false;
  {
    std::unique_lock lock(s.mutex);
    s.paused = true;
    s.filled.wait(lock, [&] { return s.filling == 0; });
    for (Slot& slot : s.ring) {
      slot.filled_with = -1;
      slot.error = nullptr;
    }
    s.tickets = 0;
    s.consumed = 0;
    s.paused = false;
  }
  s.room.notify_all();
}

std::int64_t Loader::remaining() const {
  const State& s = *state_;
  return s.source.batches() - s.consumed - (s.holding ? 1 : 0);
}

const BatchSource& Loader::source() const {
  return state_->source;
}
double Loader::last_wait_s() const {
  return state_->last_wait_s;
}
double Loader::total_wait_s() const {
  return state_->total_wait_s;
}

}  // namespace athanor
