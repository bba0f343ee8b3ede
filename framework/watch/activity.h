// What this rank is doing, as a board that its threads write for next to nothing and the heartbeat thread reads: phase,
// step, the newest collectives, where the time of a step goes. Nothing here allocates, waits or asks the kernel for
// more than the time.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace athanor::watch {

/// `unwatched`: commands that are not judged for getting on, as at first.
enum class Phase : std::uint8_t { unwatched, starting, training, evaluating, saving, ending };
std::string_view name_of(Phase phase);  ///< "starting", "training", …

/// One collective call of a rank. Calls of a group carry the same sequence number on all ranks.
struct Collective {
  std::array<char, 24> name{};  ///< cut, ended by NUL
  std::uint32_t group = 0;      ///< which group of the ranks, in the order in which they were made
  std::uint64_t sequence = 0;   ///< of its group, from 1
  std::uint64_t bytes = 0;      ///< equal on all ranks; 0 where each sends what it has to (exchange)
  std::int64_t begun_ns = 0;    ///< steady clock
  std::int64_t ended_ns = 0;    ///< 0: the call has not returned
};

/// Sums since the start; a reader takes differences.
struct StepTimes {
  std::int64_t steps = 0;
  double step_s = 0, compute_s = 0, data_wait_s = 0, comm_wait_s = 0;
};

struct ActivitySnapshot {
  Phase phase = Phase::unwatched;
  std::int64_t step = 0;         ///< the step in hand, from 1; 0 before the first
  std::uint64_t progress = 0;    ///< grows with everything that shows that the rank gets on
  std::int64_t progress_ns = 0;  ///< steady clock, when it last grew
  Collective newest;             ///< the newest one that has not returned, else the newest
  StepTimes times;
};

/// Whether the rank is in a call, in which it waits for others.
inline bool is_waiting(const ActivitySnapshot& activity) {
  return activity.newest.begun_ns != 0 && activity.newest.ended_ns == 0;
}

class Activity {
 public:
  static constexpr std::size_t kRing = 64;  ///< collectives that are kept

  void set_phase(Phase phase);
  Phase phase() const { return phase_.load(std::memory_order_relaxed); }
  void begin_step(std::int64_t step);
  /// Anything else that shows that the rank gets on: a batch of an evaluation, a part of a file.
  void note_progress();
  /// One step's times, in seconds, by the thread that steps.
  void note_step(double step_s, double compute_s, double data_wait_s, double comm_wait_s);

  /// The number of a new group, which every rank makes in the same order.
  std::uint32_t new_group() { return groups_.fetch_add(1, std::memory_order_relaxed); }
  /// A collective begins; any thread. The ticket goes to leave().
  std::uint32_t enter(std::string_view name, std::uint32_t group, std::uint64_t sequence, std::uint64_t bytes);
  void leave(std::uint32_t ticket);

  /// From any thread; fields that change while it reads may be of neighbouring moments, never torn.
  ActivitySnapshot snapshot() const;
  /// The ring, oldest first.
  std::vector<Collective> ring() const;

 private:
  /// A call as words that are each read and written whole: name (3), group, sequence, bytes, begun, ended.
  struct Entry {
    std::atomic<std::uint32_t> version{0};  ///< 0: never used; 2 · ticket + 1: being written; 2 · ticket + 2: whole
    std::array<std::atomic<std::uint64_t>, 8> words{};
  };
  static bool read(const Entry& entry, Collective& call);
  void note_progress_at(std::int64_t now_ns);

  std::atomic<std::uint32_t> groups_{0};
  std::atomic<Phase> phase_{Phase::unwatched};
  std::atomic<std::int64_t> step_{0};
  std::atomic<std::uint64_t> progress_{0};
  std::atomic<std::int64_t> progress_ns_{0};
  std::atomic<std::uint32_t> next_{0};
  std::array<Entry, kRing> ring_;
  /// Odd while the times are written.
  std::atomic<std::uint32_t> times_version_{0};
  std::atomic<std::int64_t> steps_{0};
  std::array<std::atomic<double>, 4> times_{};  ///< as they stand in StepTimes
};

/// A phase while it lives; then the one before again.
class PhaseScope {
 public:
  PhaseScope(Activity& activity, Phase phase) : activity_(activity), before_(activity.phase()) {
    activity_.set_phase(phase);
  }
  ~PhaseScope() { activity_.set_phase(before_); }
  PhaseScope(const PhaseScope&) = delete;
  PhaseScope& operator=(const PhaseScope&) = delete;

 private:
  Activity& activity_;
  Phase before_;
};

}  // namespace athanor::watch
