// The teams that run shards side by side: one thread per lane, each leading an OpenMP team of its own. The calling
// thread is lane 0.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace athanor::cpu {

/// Where all lanes wait for each other: a short spin, then sleep, so that waiting takes no core from who still works.
class LaneBarrier {
 public:
  explicit LaneBarrier(int lanes) : lanes_(lanes) {}
  /// False where the barrier was broken before all came.
  bool arrive_and_wait();
  /// Lets everybody through, now and at every later arrival, until mend(). For a lane that cannot come.
  void break_open();
  /// Whole again. Only while no lane is at the barrier.
  void mend();
  /// How often it has opened. Exact while no lane is on its way to it.
  std::uint32_t openings() const { return generation_.load(std::memory_order_relaxed); }

 private:
  int lanes_;
  std::atomic<int> arrived_{0};
  std::atomic<std::uint32_t> generation_{0};
  std::atomic<bool> broken_{false};
};

class LanePool {
 public:
  LanePool(int lanes, int threads_per_lane);
  ~LanePool();
  LanePool(const LanePool&) = delete;
  LanePool& operator=(const LanePool&) = delete;

  int lanes() const { return lanes_; }
  /// Runs `work(lane)` on every lane and returns when all are done. Not to be called from inside `work`. Keeps only a
  /// reference to `work`, so that nothing is allocated however much it captures. What `work` throws on any lane ends
  /// the others at their next sync() and is rethrown here.
  template <typename Work>
  void run(const Work& work) {
    run_all(std::cref(work));
  }
  /// Inside `work`: waits for the other lanes.
  void sync() {
    if (!barrier_.arrive_and_wait()) throw Abandoned{};
  }
  /// How often all lanes have waited for each other so far, at a sync() or at the end of a run(). Between runs only.
  std::uint32_t barriers() const { return barrier_.openings() + end_.openings(); }

 private:
  /// Unwinds a lane whose fellow has failed.
  struct Abandoned {};

  void run_all(const std::function<void(int)>& work);
  void lead(int lane);
  void work_guarded(int lane) noexcept;

  int lanes_;
  int threads_per_lane_;
  LaneBarrier barrier_;
  LaneBarrier end_;  ///< of run(); never broken
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
  const std::function<void(int)>* work_ = nullptr;
  std::atomic<std::uint32_t> ticket_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

}  // namespace athanor::cpu
