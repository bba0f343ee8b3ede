#include "gpu/emulation/hub.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>

#include "base/error.h"

namespace athanor::testing {
namespace {

using namespace std::chrono_literals;

struct Meetings {
  std::mutex mutex;
  std::uint64_t last_key = 0;
  std::map<std::uint64_t, std::weak_ptr<Meeting>> by_key;
};
Meetings& meetings() {
  static Meetings all;
  return all;
}

template <typename T>
void add_to(std::vector<double>& sums, const std::vector<std::byte>& bytes) {
  for (std::size_t i = 0; i < sums.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    if constexpr (sizeof(T) == 2) {
      sums[i] = static_cast<double>(static_cast<float>(T(static_cast<float>(sums[i]) + static_cast<float>(value))));
    } else {
      sums[i] = static_cast<double>(static_cast<T>(static_cast<T>(sums[i]) + value));
    }
  }
}

template <typename T>
void store(const std::vector<double>& sums, void* target) {
  auto* to = static_cast<T*>(target);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    if constexpr (sizeof(T) == 2) {
      to[i] = T(static_cast<float>(sums[i]));
    } else {
      to[i] = static_cast<T>(sums[i]);
    }
  }
}

template <typename T>
void sum_as(const std::vector<std::vector<std::byte>>& parts, void* target, std::size_t count) {
  std::vector<double> sums(count);
  for (const auto& part : parts) add_to<T>(sums, part);
  store<T>(sums, target);
}

}  // namespace

std::vector<std::byte> new_group_key() {
  const std::lock_guard lock(meetings().mutex);
  const std::uint64_t key = ++meetings().last_key;
  std::vector<std::byte> bytes(sizeof(key));
  std::memcpy(bytes.data(), &key, sizeof(key));
  return bytes;
}

std::shared_ptr<Meeting> meeting_of(std::span<const std::byte> key, int size) {
  std::uint64_t number = 0;
  ATHANOR_CHECK(key.size() == sizeof(number), "a key of {} bytes", key.size());
  std::memcpy(&number, key.data(), sizeof(number));
  const std::lock_guard lock(meetings().mutex);
  std::weak_ptr<Meeting>& known = meetings().by_key[number];
  std::shared_ptr<Meeting> meeting = known.lock();
  if (!meeting) known = meeting = std::make_shared<Meeting>(size);
  return meeting;
}

bool Meeting::join(int rank, double timeout_s) {
  {
    const std::lock_guard lock(mutex_);
    if (!joined_.insert(rank).second) throw DeviceError("rank {} joins a group twice", rank);
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(timeout_s);
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (joined_.size() == contributions_.size()) return true;
    }
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(1ms);
  }
}

std::shared_ptr<Meeting::Message> Meeting::send(int from, int to, const void* data, std::size_t bytes) {
  auto message = std::make_shared<Message>();
  const auto* begin = static_cast<const std::byte*>(data);
  message->bytes.assign(begin, begin + bytes);
  const std::lock_guard lock(mutex_);
  messages_[{from, to}].push_back(message);
  return message;
}

bool Meeting::receive(int from, int to, void* data, std::size_t bytes) {
  std::shared_ptr<Message> message;
  {
    const std::lock_guard lock(mutex_);
    auto& queue = messages_[{from, to}];
    if (queue.empty()) return false;
    message = queue.front();
    queue.pop_front();
    message->is_taken = true;
  }
  if (message->bytes.size() != bytes) {
    throw DeviceError("rank {} receives {} bytes of the {} that rank {} sent", to, bytes, message->bytes.size(), from);
  }
  std::memcpy(data, message->bytes.data(), bytes);
  return true;
}

bool Meeting::is_taken(const Message& message) {
  const std::lock_guard lock(mutex_);
  return message.is_taken;
}

void Meeting::contribute(int rank, std::uint64_t operation, std::vector<std::byte> bytes) {
  const std::lock_guard lock(mutex_);
  contributions_[static_cast<std::size_t>(rank)][operation] = std::move(bytes);
}

bool Meeting::sum(std::uint64_t operation, DType type, void* target, std::size_t count) {
  std::vector<std::vector<std::byte>> parts;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& of_rank : contributions_) {
      const auto found = of_rank.find(operation);
      if (found == of_rank.end()) return false;
      parts.push_back(found->second);
    }
    // Nobody is more than one operation behind: its own contribution to the next one follows its sum of this one.
    for (auto& of_rank : contributions_) of_rank.erase(of_rank.begin(), of_rank.lower_bound(operation));
  }
  for (const auto& part : parts) {
    if (part.size() != count * size_of(type))
      throw DeviceError("all_reduce: ranks sum {} and {} bytes", part.size(), count * size_of(type));
  }
  switch (type) {
    case DType::f32:
      sum_as<float>(parts, target, count);
      return true;
    case DType::f64:
      sum_as<double>(parts, target, count);
      return true;
    case DType::bf16:
      sum_as<BFloat16>(parts, target, count);
      return true;
    case DType::f16:
      sum_as<Float16>(parts, target, count);
      return true;
    case DType::i32:
      sum_as<std::int32_t>(parts, target, count);
      return true;
    case DType::i64:
      sum_as<std::int64_t>(parts, target, count);
      return true;
    case DType::u8:
      sum_as<std::uint8_t>(parts, target, count);
      return true;
  }
  return true;
}

void Meeting::fail(std::string what) {
  const std::lock_guard lock(mutex_);
  if (failure_.empty()) failure_ = std::move(what);
}

std::string Meeting::failure() {
  const std::lock_guard lock(mutex_);
  return failure_;
}

/// What the work in the queues shares with the group, which may be gone before them.
struct EmulatedGroup::State {
  std::shared_ptr<Meeting> meeting;
  int rank = 0;
  int size = 1;
  GroupFaults faults;
  std::mt19937_64 delays;
  std::atomic<std::int64_t> operations{0};
  std::atomic<std::uint64_t> sums{0};
  std::atomic<bool> is_aborted{false};

  /// One run of an operation, from its first attempt to its end; a replayed graph runs it again.
  struct Run {
    bool has_begun = false;
    std::int64_t number = 0;
    std::uint64_t sum = 0;
    std::chrono::steady_clock::time_point not_before;
    std::vector<std::shared_ptr<Meeting::Message>> sent;
    std::vector<bool> is_received;
  };

  /// Whether the operation may go on; begins it at the first call.
  bool may_run(Run& run) {
    if (!run.has_begun) {
      run.has_begun = true;
      run.number = operations++;
      run.not_before =
          std::chrono::steady_clock::now() + (faults.delay_seed == 0 ? 0us : std::chrono::microseconds(delays() % 200));
      if (faults.fail_at >= 0 && run.number >= faults.fail_at) {
        meeting->fail(fmt::format("rank {}: planted failure in operation {}", rank, run.number));
      }
    }
    if (faults.fail_at >= 0 && run.number >= faults.fail_at) return false;
    if (faults.hang_at >= 0 && run.number >= faults.hang_at) return false;
    return std::chrono::steady_clock::now() >= run.not_before;
  }

  bool attempt_transfers(Run& run, const std::vector<Transfer>& batch) {
    if (run.sent.empty() && run.is_received.empty()) {
      run.is_received.resize(batch.size());
      for (const Transfer& t : batch) {
        if (t.is_send) run.sent.push_back(meeting->send(rank, t.peer, t.data, t.bytes));
      }
    }
    bool is_over = true;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const Transfer& t = batch[i];
      if (t.is_send || run.is_received[i]) continue;
      run.is_received[i] = meeting->receive(t.peer, rank, t.data, t.bytes);
      is_over = is_over && run.is_received[i];
    }
    for (const auto& message : run.sent) is_over = is_over && meeting->is_taken(*message);
    return is_over;
  }

  bool attempt_sum(Run& run, void* data, std::size_t count, DType type) {
    if (run.sum == 0) {
      run.sum = ++sums;
      const auto* begin = static_cast<const std::byte*>(data);
      meeting->contribute(rank, run.sum, {begin, begin + count * size_of(type)});
    }
    return meeting->sum(run.sum, type, data, count);
  }
};

EmulatedGroup::EmulatedGroup(Scheduler& scheduler, EmulatedMemory& memory, std::shared_ptr<Meeting> meeting, int rank,
                             int size, const GroupFaults& faults)
    : scheduler_(scheduler), memory_(memory), state_(std::make_shared<State>()) {
  state_->meeting = std::move(meeting);
  state_->rank = rank;
  state_->size = size;
  state_->faults = faults;
  state_->delays.seed(faults.delay_seed + static_cast<std::uint64_t>(rank));
}

EmulatedGroup::~EmulatedGroup() {
  state_->is_aborted = true;
}

void EmulatedGroup::all_reduce(void* data, std::size_t count, DType type, cuda::Stream stream) {
  memory_.check_range(data, count * size_of(type), "all_reduce");
  auto run = std::make_shared<State::Run>();
  scheduler_.enqueue(stream, {"all_reduce", [state = state_, run, data, count, type] {
                                const bool is_over = state->is_aborted || (state->may_run(*run) &&
                                                                           state->attempt_sum(*run, data, count, type));
                                if (is_over) *run = {};
                                return is_over;
                              }});
}

void EmulatedGroup::begin() {
  if (is_open_) throw DeviceError("begin() of messages twice");
  is_open_ = true;
}

void EmulatedGroup::add(const Transfer& transfer, cuda::Stream stream) {
  if (transfer.peer < 0 || transfer.peer >= state_->size || transfer.peer == state_->rank) {
    throw DeviceError("rank {} has no peer {}", state_->rank, transfer.peer);
  }
  memory_.check_range(transfer.data, transfer.bytes, transfer.is_send ? "send" : "receive");
  const bool is_alone = !is_open_;
  if (is_alone) begin();
  if (!batch_.empty() && stream != batch_stream_) throw DeviceError("messages of one batch on several streams");
  batch_stream_ = stream;
  batch_.push_back(transfer);
  if (is_alone) end();
}

void EmulatedGroup::send(const void* data, std::size_t bytes, int peer, cuda::Stream stream) {
  add({true, const_cast<void*>(data), bytes, peer}, stream);
}

void EmulatedGroup::receive(void* data, std::size_t bytes, int peer, cuda::Stream stream) {
  add({false, data, bytes, peer}, stream);
}

void EmulatedGroup::end() {
  if (!is_open_) throw DeviceError("end() of messages without begin()");
  is_open_ = false;
  if (batch_.empty()) return;
  auto run = std::make_shared<State::Run>();
  scheduler_.enqueue(batch_stream_, {"messages", [state = state_, run, batch = std::move(batch_)] {
                                       const bool is_over =
                                           state->is_aborted ||
                                           (state->may_run(*run) && state->attempt_transfers(*run, batch));
                                       if (is_over) *run = {};
                                       return is_over;
                                     }});
  batch_.clear();
}

std::string EmulatedGroup::poll() {
  return state_->meeting->failure();
}

void EmulatedGroup::abort() {
  while (state_->faults.abort_hangs) std::this_thread::sleep_for(1s);
  state_->is_aborted = true;
}

std::int64_t EmulatedGroup::operations() const {
  return state_->operations;
}

}  // namespace athanor::testing
