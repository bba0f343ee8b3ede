#include "gpu/support/thread_ranks.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <tuple>

namespace athanor::testing {
namespace {

using Bytes = std::vector<std::byte>;

/// What all ranks of a test share: messages on their way, by group, sender and receiver.
class World {
 public:
  explicit World(int ranks) : ranks_(ranks) {}
  int ranks() const { return ranks_; }

  void send(int group, int from, int to, const void* data, std::size_t bytes) {
    const auto* begin = static_cast<const std::byte*>(data);
    const std::lock_guard lock(mutex_);
    messages_[{group, from, to}].emplace_back(begin, begin + bytes);
    changed_.notify_all();
  }

  Bytes receive(int group, int from, int to, double timeout_s, const char* name) {
    std::unique_lock lock(mutex_);
    std::deque<Bytes>& queue = messages_[{group, from, to}];
    const bool came =
        changed_.wait_for(lock, std::chrono::duration<double>(timeout_s), [&] { return !queue.empty() || is_broken_; });
    if (queue.empty())
      throw PeerError("rank {} waited in '{}' for rank {}{}", to, name, from, came ? ", which failed" : "");
    Bytes message = std::move(queue.front());
    queue.pop_front();
    return message;
  }

  void fail(std::exception_ptr failure) {
    const std::lock_guard lock(mutex_);
    if (!is_broken_) failure_ = failure;
    is_broken_ = true;
    changed_.notify_all();
  }

  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  int ranks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::tuple<int, int, int>, std::deque<Bytes>> messages_;
  bool is_broken_ = false;
  std::exception_ptr failure_;
};

template <typename T>
void combine_as(void* sum, const void* other, std::size_t count, ReduceOp op) {
  for (std::size_t i = 0; i < count; ++i) {
    T a, b;
    std::memcpy(&a, static_cast<std::byte*>(sum) + i * sizeof(T), sizeof(T));
    std::memcpy(&b, static_cast<const std::byte*>(other) + i * sizeof(T), sizeof(T));
    if constexpr (sizeof(T) == 2) {
      const float x = static_cast<float>(a), y = static_cast<float>(b);
      a = T(op == ReduceOp::sum ? x + y : op == ReduceOp::max ? std::max(x, y) : std::min(x, y));
    } else {
      a = op == ReduceOp::sum ? static_cast<T>(a + b) : op == ReduceOp::max ? std::max(a, b) : std::min(a, b);
    }
    std::memcpy(static_cast<std::byte*>(sum) + i * sizeof(T), &a, sizeof(T));
  }
}

void combine(void* sum, const void* other, std::size_t count, DType type, ReduceOp op) {
  switch (type) {
    case DType::f32:
      return combine_as<float>(sum, other, count, op);
    case DType::f64:
      return combine_as<double>(sum, other, count, op);
    case DType::bf16:
      return combine_as<BFloat16>(sum, other, count, op);
    case DType::f16:
      return combine_as<Float16>(sum, other, count, op);
    case DType::i32:
      return combine_as<std::int32_t>(sum, other, count, op);
    case DType::i64:
      return combine_as<std::int64_t>(sum, other, count, op);
    case DType::u8:
      return combine_as<std::uint8_t>(sum, other, count, op);
  }
}

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(World& world, int group, int rank, double timeout_s)
      : world_(world), group_(group), rank_(rank), timeout_s_(timeout_s) {}

  int rank() const override { return rank_; }
  int size() const override { return world_.ranks(); }
  int local_rank() const override { return rank_; }
  int local_size() const override { return size(); }
  const std::string& host(int) const override { return host_; }
  std::string_view backend() const override { return "threads"; }

  void all_gather(const void* in, void* out, std::size_t bytes, const char* name) override {
    for (int peer = 0; peer < size(); ++peer) world_.send(group_, rank_, peer, in, bytes);
    for (int peer = 0; peer < size(); ++peer) {
      receive(peer, static_cast<std::byte*>(out) + static_cast<std::size_t>(peer) * bytes, bytes, name);
    }
  }
  void all_reduce(void* data, std::size_t count, DType type, ReduceOp op, const char* name) override {
    const std::size_t bytes = count * size_of(type);
    Bytes all(bytes * static_cast<std::size_t>(size()));
    all_gather(data, all.data(), bytes, name);
    std::memcpy(data, all.data(), bytes);
    for (int peer = 1; peer < size(); ++peer) {
      combine(data, all.data() + static_cast<std::size_t>(peer) * bytes, count, type, op);
    }
  }
  void reduce_scatter(const void* in, void* out, std::size_t count, DType type, ReduceOp op,
                      const char* name) override {
    const auto* begin = static_cast<const std::byte*>(in);
    const std::size_t part = count * size_of(type);
    Bytes all(begin, begin + part * static_cast<std::size_t>(size()));
    all_reduce(all.data(), count * static_cast<std::size_t>(size()), type, op, name);
    std::memcpy(out, all.data() + part * static_cast<std::size_t>(rank_), part);
  }
  void broadcast(void* data, std::size_t bytes, int root, const char* name) override {
    for (int peer = 0; rank_ == root && peer < size(); ++peer) {
      if (peer != root) world_.send(group_, root, peer, data, bytes);
    }
    if (rank_ != root) receive(root, data, bytes, name);
  }
  void barrier(const char* name) override {
    std::byte nothing{};
    Bytes all(static_cast<std::size_t>(size()));
    all_gather(&nothing, all.data(), 1, name);
  }
  void exchange(std::span<const SendPart> sends, std::span<const ReceivePart> receives, const char* name) override {
    for (const SendPart& part : sends) world_.send(group_, rank_, part.peer, part.data, part.bytes);
    for (const ReceivePart& part : receives) receive(part.peer, part.data, part.bytes, name);
  }

  void set_timeout(double seconds) override { timeout_s_ = seconds; }
  double timeout_s() const override { return timeout_s_; }
  void set_limit(std::function<std::optional<double>()>) override {}
  void set_background(const std::atomic<int>*) override {}
  /// All ranks duplicate in the same order, so they number their groups alike.
  std::unique_ptr<Communicator> duplicate(const char*) override {
    return std::make_unique<ThreadCommunicator>(world_, group_ * 100 + ++duplicates_, rank_, timeout_s_);
  }
  [[noreturn]] void leave(ExitCode code) override {
    throw PeerError("rank {} left with exit code {}", rank_, static_cast<int>(code));
  }

 private:
  void receive(int peer, void* data, std::size_t bytes, const char* name) {
    const Bytes message = world_.receive(group_, peer, rank_, timeout_s_, name);
    if (message.size() != bytes) {
      throw PeerError("rank {} wants {} bytes in '{}', rank {} sent {}", rank_, bytes, name, peer, message.size());
    }
    std::memcpy(data, message.data(), bytes);
  }

  World& world_;
  int group_, rank_;
  int duplicates_ = 0;
  double timeout_s_;
  std::string host_ = "testhost";
};

}  // namespace

void run_ranks(int ranks, const std::function<void(Communicator&)>& rank_main, double timeout_s) {
  World world(ranks);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        ThreadCommunicator communicator(world, 1, rank, timeout_s);
        rank_main(communicator);
      } catch (...) {
        world.fail(std::current_exception());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  world.rethrow();
}

}  // namespace athanor::testing
