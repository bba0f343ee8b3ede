#include "preflight/clock_offsets.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

namespace athanor {
namespace {

constexpr const char* kClocks = "clocks";
constexpr int kTrips = 5;
constexpr double kMuch_s = 1;

double clock_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double steady_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

ClockOffset ask(Communicator& communicator, int rank) {
  ClockOffset best{rank, 0, INFINITY};
  for (int trip = 0; trip < kTrips; ++trip) {
    const char question = '?';
    double answer = 0;
    const SendPart send{rank, &question, sizeof question};
    const ReceivePart receive{rank, &answer, sizeof answer};
    const double here_s = clock_s(), start_s = steady_s();
    communicator.exchange({&send, 1}, {&receive, 1}, kClocks);
    const double half_s = (steady_s() - start_s) / 2;
    if (half_s < best.uncertainty) best = {rank, answer - (here_s + half_s), half_s};
  }
  return best;
}

void answer(Communicator& communicator) {
  for (int trip = 0; trip < kTrips; ++trip) {
    char question = 0;
    const ReceivePart receive{0, &question, sizeof question};
    communicator.exchange({}, {&receive, 1}, kClocks);
    const double now = clock_s();
    const SendPart send{0, &now, sizeof now};
    communicator.exchange({&send, 1}, {}, kClocks);
  }
}

}  // namespace

std::vector<ClockOffset> measure_clocks(Communicator& communicator, std::span<const int> ranks) {
  std::vector<ClockOffset> offsets;
  for (const int rank : ranks) {
    if (rank == 0) continue;
    if (communicator.rank() == rank) answer(communicator);
    offsets.push_back(communicator.rank() == 0 ? ask(communicator, rank) : ClockOffset{rank});
  }
  communicator.broadcast(offsets.data(), offsets.size() * sizeof(ClockOffset), 0, kClocks);
  return offsets;
}

Finding judge_clocks(std::span<const ClockOffset> offsets, std::span<const std::string> hosts) {
  if (offsets.empty()) return {"one host, one clock"};
  // Rank 0's own clock is one of them.
  ClockOffset first, last;
  double uncertainty = 0;
  for (const ClockOffset& offset : offsets) {
    if (offset.seconds < first.seconds) first = offset;
    if (offset.seconds > last.seconds) last = offset;
    uncertainty = std::max(uncertainty, offset.uncertainty);
  }
  const double apart_s = last.seconds - first.seconds;
  if (apart_s - uncertainty <= kMuch_s) {
    return {fmt::format("at most {:.0f} ms apart", std::ceil((apart_s + uncertainty) * 1e3))};
  }
  // The one that is further from the clock in the middle is the wrong one; of two clocks nobody can tell.
  std::vector<double> all{0};
  for (const ClockOffset& offset : offsets) all.push_back(offset.seconds);
  std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2), all.end());
  const double middle = all[all.size() / 2];
  const bool last_is_wrong = std::abs(last.seconds - middle) >= std::abs(first.seconds - middle);
  const ClockOffset &wrong = last_is_wrong ? last : first, &other = last_is_wrong ? first : last;
  const auto host = [&](const ClockOffset& offset) { return hosts[static_cast<std::size_t>(offset.rank)]; };
  return {fmt::format("the clock of {} is {:.1f} s {} that of {}; the run does not mind, but times in logs mislead: "
                      "`timedatectl set-ntp true` {}",
                      host(wrong), apart_s, last_is_wrong ? "ahead of" : "behind", host(other),
                      offsets.size() > 1 ? "there" : "on the one that is wrong"),
          CheckStatus::warning};
}

}  // namespace athanor
