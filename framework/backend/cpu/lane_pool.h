// The teams that run shards side by side: one thread per lane, each leading an OpenMP team of its own. The calling
// thread is lane 0.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace athanor::cpu {

/// Where all lanes wait for each other: a short spin, then sleep, so that waiting takes no core from who still works.
class LaneBarrier {
 public:
  explicit LaneBarrier(int lanes) : lanes_(lanes) {}
  void arrive_and_wait();

 private:
  int lanes_;
  std::atomic<int> arrived_{0};
  std::atomic<std::uint32_t> generation_{0};
};

class LanePool {
 public:
  LanePool(int lanes, int threads_per_lane);
  ~LanePool();
  LanePool(const LanePool&) = delete;
  LanePool& operator=(const LanePool&) = delete;

  int lanes() const { return lanes_; }
  /// Runs `work(lane)` on every lane and returns when all are done. Not to be called from inside `work`. Keeps only a
  /// reference to `work`, so that nothing is allocated however much it captures.
  template <typename Work>
  void run(const Work& work) {
    run_all(std::cref(work));
  }
  /// Inside `work`: waits for the other lanes.
  void sync() { barrier_.arrive_and_wait(); }

 private:
  void run_all(const std::function<void(int)>& work);
  void lead(int lane);

  int lanes_;
  int threads_per_lane_;
  LaneBarrier barrier_;
  const std::function<void(int)>* work_ = nullptr;
  std::atomic<std::uint32_t> ticket_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

}  // namespace athanor::cpu
