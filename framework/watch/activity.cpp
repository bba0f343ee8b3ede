#include "watch/activity.h"

#include <algorithm>
#include <cstring>

#include "watch/clock.h"

namespace athanor::watch {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::size_t kNameWords = sizeof(Collective::name) / sizeof(std::uint64_t);
constexpr std::size_t kEndedWord = 7;

/// A reader that finds a board in motion this often takes what it has: a writer that was stopped half-way must not
/// hold it up.
constexpr int kTries = 100;

}  // namespace

std::string_view name_of(Phase phase) {
  switch (phase) {
    case Phase::unwatched:
      return "unwatched";
    case Phase::starting:
      return "starting";
    case Phase::training:
      return "training";
    case Phase::evaluating:
      return "evaluating";
    case Phase::saving:
      return "saving";
    case Phase::ending:
      return "ending";
  }
  return "unknown";
}

void Activity::note_progress_at(std::int64_t now_ns) {
  progress_ns_.store(now_ns, kRelaxed);
  progress_.fetch_add(1, std::memory_order_release);
}

void Activity::note_progress() {
  note_progress_at(steady_ns());
}

void Activity::set_phase(Phase phase) {
  phase_.store(phase, kRelaxed);
  note_progress();
}

void Activity::begin_step(std::int64_t step) {
  step_.store(step, kRelaxed);
  note_progress();
}

void Activity::note_step(double step_s, double compute_s, double data_wait_s, double comm_wait_s) {
  const std::array<double, 4> more{step_s, compute_s, data_wait_s, comm_wait_s};
  const std::uint32_t version = times_version_.load(kRelaxed);
  times_version_.store(version + 1, kRelaxed);
  std::atomic_thread_fence(std::memory_order_release);
  steps_.store(steps_.load(kRelaxed) + 1, kRelaxed);
  for (std::size_t i = 0; i < more.size(); ++i) times_[i].store(times_[i].load(kRelaxed) + more[i], kRelaxed);
  times_version_.store(version + 2, std::memory_order_release);
  note_progress();
}

std::uint32_t Activity::enter(std::string_view name, std::uint32_t group, std::uint64_t sequence, std::uint64_t bytes) {
  const std::int64_t now_ns = steady_ns();
  const std::uint32_t ticket = next_.fetch_add(1, kRelaxed);
  std::array<std::uint64_t, kNameWords> letters{};
  std::memcpy(letters.data(), name.data(), std::min(name.size(), sizeof letters - 1));
  Entry& entry = ring_[ticket % kRing];
  note_progress_at(now_ns);
  // Where another thread is writing here still, kRing calls later, this call goes unrecorded.
  std::uint32_t version = entry.version.load(kRelaxed);
  if (version % 2 != 0 || !entry.version.compare_exchange_strong(version, 2 * ticket + 1, kRelaxed)) return ticket;
  std::atomic_thread_fence(std::memory_order_release);
  for (std::size_t i = 0; i < kNameWords; ++i) entry.words[i].store(letters[i], kRelaxed);
  entry.words[kNameWords].store(group, kRelaxed);
  entry.words[kNameWords + 1].store(sequence, kRelaxed);
  entry.words[kNameWords + 2].store(bytes, kRelaxed);
  entry.words[kNameWords + 3].store(static_cast<std::uint64_t>(now_ns), kRelaxed);
  entry.words[kEndedWord].store(0, kRelaxed);
  entry.version.store(2 * ticket + 2, std::memory_order_release);
  return ticket;
}

void Activity::leave(std::uint32_t ticket) {
  const std::int64_t now_ns = steady_ns();
  Entry& entry = ring_[ticket % kRing];
  // So many calls of other threads may have begun since that the entry is another's.
  std::uint32_t own = 2 * ticket + 2;
  if (entry.version.compare_exchange_strong(own, 2 * ticket + 1, kRelaxed)) {
    std::atomic_thread_fence(std::memory_order_release);
    entry.words[kEndedWord].store(static_cast<std::uint64_t>(now_ns), kRelaxed);
    entry.version.store(2 * ticket + 2, std::memory_order_release);
  }
  note_progress_at(now_ns);
}

bool Activity::read(const Entry& entry, Collective& call) {
  for (int i = 0; i < kTries; ++i) {
    const std::uint32_t version = entry.version.load(std::memory_order_acquire);
    if (version == 0) return false;
    if (version % 2 != 0) continue;
    std::array<std::uint64_t, 8> words{};
    for (std::size_t w = 0; w < words.size(); ++w) words[w] = entry.words[w].load(kRelaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (entry.version.load(kRelaxed) != version) continue;
    std::memcpy(call.name.data(), words.data(), sizeof call.name);
    call.group = static_cast<std::uint32_t>(words[kNameWords]);
    call.sequence = words[kNameWords + 1];
    call.bytes = words[kNameWords + 2];
    call.begun_ns = static_cast<std::int64_t>(words[kNameWords + 3]);
    call.ended_ns = static_cast<std::int64_t>(words[kEndedWord]);
    return true;
  }
  return false;
}

ActivitySnapshot Activity::snapshot() const {
  ActivitySnapshot seen;
  seen.progress = progress_.load(std::memory_order_acquire);
  seen.progress_ns = progress_ns_.load(kRelaxed);
  seen.phase = phase_.load(kRelaxed);
  seen.step = step_.load(kRelaxed);
  for (int i = 0; i < kTries; ++i) {
    const std::uint32_t version = times_version_.load(std::memory_order_acquire);
    seen.times = {steps_.load(kRelaxed), times_[0].load(kRelaxed), times_[1].load(kRelaxed), times_[2].load(kRelaxed),
                  times_[3].load(kRelaxed)};
    std::atomic_thread_fence(std::memory_order_acquire);
    if (version % 2 == 0 && times_version_.load(kRelaxed) == version) break;
  }
  bool has_newest = false;
  const std::uint32_t next = next_.load(std::memory_order_acquire);
  for (std::uint32_t back = 1; back <= kRing; ++back) {
    Collective call;
    if (!read(ring_[(next - back) % kRing], call)) continue;
    if (call.ended_ns == 0 || !has_newest) {
      seen.newest = call;
      has_newest = true;
      if (call.ended_ns == 0) break;
    }
  }
  return seen;
}

std::vector<Collective> Activity::ring() const {
  std::vector<Collective> calls;
  calls.reserve(kRing);
  const std::uint32_t next = next_.load(std::memory_order_acquire);
  for (std::uint32_t back = kRing; back >= 1; --back) {
    Collective call;
    if (read(ring_[(next - back) % kRing], call)) calls.push_back(call);
  }
  return calls;
}

}  // namespace athanor::watch
