// Streams, events and graphs without a GPU: queues that one thread works off in any order that CUDA allows, drawn from
// a seed. The host runs ahead as far as it does on a real device: nothing runs when it is enqueued.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "backend/cuda/device.h"

namespace athanor::testing {

/// One thing that runs on a stream. `attempt` is called until it returns true: what waits for another rank returns
/// false.
struct Work {
  std::string name;
  std::function<bool()> attempt;
};

/// Work in the order of its dependencies: what a capture makes.
struct WorkGraph {
  struct Node {
    Work work;
    std::set<std::size_t> after;
    std::vector<std::size_t> before = {};  ///< filled when the capture ends
  };
  std::vector<Node> nodes;
  bool is_running = false;
};

struct EmulatedEvent {
  std::uint64_t recorded = 0;
  std::uint64_t completed = 0;
  bool is_timed = false;
  double completed_at = 0;
  int capture = 0;  ///< of which capture its last record is part; 0: none
  std::set<std::size_t> captured_after;
};

/// Calls come from the host thread; the first failure of any work is thrown by every later call, as CUDA does.
class Scheduler {
 public:
  explicit Scheduler(std::uint64_t seed);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  void enqueue(cuda::Stream stream, Work work);
  EmulatedEvent* make_event(bool timed);
  void release(EmulatedEvent* event);
  void record(EmulatedEvent* event, cuda::Stream stream);
  void wait(cuda::Stream stream, EmulatedEvent* event);
  bool is_done(EmulatedEvent* event);
  void synchronize(EmulatedEvent* event);
  void synchronize();
  double seconds_between(EmulatedEvent* start, EmulatedEvent* end);

  void begin_capture(cuda::Stream stream);
  std::shared_ptr<WorkGraph> end_capture(cuda::Stream stream);
  void launch(std::shared_ptr<WorkGraph> graph, cuda::Stream stream);
  /// Throws where a capture is under way: `call` would break it.
  void refuse_during_capture(const char* call);

  /// Work that has run, graph nodes included.
  std::uint64_t executed() const;

 private:
  /// What stands in a stream: work, a graph, a record (event, count) or a wait for one.
  struct Item {
    enum class Kind : std::uint8_t { work, graph, record, wait } kind = Kind::work;
    Work work = {};
    std::shared_ptr<WorkGraph> graph = {};
    std::vector<std::size_t> missing = {};  ///< per node of the graph: how many of those before it have not run
    std::vector<std::size_t> ready = {};
    std::size_t left = 0;
    bool has_begun = false;
    EmulatedEvent* event = nullptr;
    std::uint64_t count = 0;
  };
  struct Choice {
    std::size_t stream = 0;
    std::optional<std::size_t> node = {};
  };
  struct Capture {
    int id = 0;
    cuda::Stream origin{};
    std::shared_ptr<WorkGraph> graph;
    std::optional<std::set<std::size_t>> tails[cuda::kStreams];
  };

  void run();
  bool is_due() const;
  bool settle();
  std::vector<Choice> choices() const;
  Choice pick(const std::vector<Choice>& from);
  bool attempt(std::unique_lock<std::mutex>& lock, const Choice& choice);
  void finish(const Choice& choice);
  void push(cuda::Stream stream, Item item);
  void wait_until(std::unique_lock<std::mutex>& lock, const std::function<bool()>& is_reached);
  void check_alive(const char* call) const;
  void check_known(const EmulatedEvent* event) const;
  std::optional<std::set<std::size_t>>* tail_of(cuda::Stream stream);
  std::string describe() const;
  std::uint64_t draw(std::uint64_t below) { return random_() % below; }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::condition_variable progressed_;
  std::deque<Item> streams_[cuda::kStreams];
  std::set<EmulatedEvent*> events_;
  std::optional<Capture> capture_;
  int captures_ = 0;
  std::string failure_;
  std::mt19937_64 random_;
  std::size_t favourites_[cuda::kStreams] = {0, 1, 2, 3};
  std::uint64_t until_new_favourites_ = 0;
  bool is_strict_ = false;
  std::size_t pending_ = 0;
  std::size_t burst_ = 1;
  std::uint64_t enqueued_ = 0;
  std::uint64_t executed_ = 0;
  int hurry_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace athanor::testing
