// The messages between emulated devices of one process: what a DeviceGroup's key leads to. Delays, failures and hangs
// can be planted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "backend/cuda/device.h"
#include "gpu/emulation/memory.h"
#include "gpu/emulation/scheduler.h"

namespace athanor::testing {

/// What goes wrong on one rank, from its operation number `at_operation` on (batches and all-reduces count; 0 is the
/// first).
struct GroupFaults {
  std::uint64_t delay_seed = 0;  ///< not 0: operations are late by up to 200 µs
  std::int64_t fail_at = -1;     ///< the operation never ends, and poll() on every rank says so
  std::int64_t hang_at = -1;     ///< the operation never ends, and nobody says anything
  bool abort_hangs = false;      ///< abort() does not return
};

/// The ranks that hold one key.
class Meeting {
 public:
  struct Message {
    std::vector<std::byte> bytes;
    bool is_taken = false;
  };

  explicit Meeting(int size) : contributions_(static_cast<std::size_t>(size)) {}

  /// Counts a rank in; false where all have not come within `timeout_s`.
  bool join(int rank, double timeout_s);
  std::shared_ptr<Message> send(int from, int to, const void* data, std::size_t bytes);
  /// Copies the next message and marks it taken; false where there is none yet. Throws where its size is another.
  bool receive(int from, int to, void* data, std::size_t bytes);
  bool is_taken(const Message& message);
  void contribute(int rank, std::uint64_t operation, std::vector<std::byte> bytes);
  /// The sum in the order of the ranks, once all have contributed.
  bool sum(std::uint64_t operation, DType type, void* target, std::size_t count);
  void fail(std::string what);
  std::string failure();

 private:
  std::mutex mutex_;
  std::set<int> joined_;
  std::map<std::pair<int, int>, std::deque<std::shared_ptr<Message>>> messages_;
  std::vector<std::map<std::uint64_t, std::vector<std::byte>>> contributions_;
  std::string failure_;
};

/// Keys and what they lead to, for all emulated devices of the process.
std::vector<std::byte> new_group_key();
std::shared_ptr<Meeting> meeting_of(std::span<const std::byte> key, int size);

class EmulatedGroup : public cuda::DeviceGroup {
 public:
  EmulatedGroup(Scheduler& scheduler, EmulatedMemory& memory, std::shared_ptr<Meeting> meeting, int rank, int size,
                const GroupFaults& faults);
  ~EmulatedGroup() override;

  void all_reduce(void* data, std::size_t count, DType type, cuda::Stream stream) override;
  void begin() override;
  void send(const void* data, std::size_t bytes, int peer, cuda::Stream stream) override;
  void receive(void* data, std::size_t bytes, int peer, cuda::Stream stream) override;
  void end() override;
  std::string poll() override;
  void abort() override;

  /// Operations that have begun on this rank.
  std::int64_t operations() const;

 private:
  struct Transfer {
    bool is_send = false;
    void* data = nullptr;
    std::size_t bytes = 0;
    int peer = 0;
  };
  struct State;
  void add(const Transfer& transfer, cuda::Stream stream);

  Scheduler& scheduler_;
  EmulatedMemory& memory_;
  std::shared_ptr<State> state_;
  std::vector<Transfer> batch_;
  cuda::Stream batch_stream_{};
  bool is_open_ = false;
};

}  // namespace athanor::testing
