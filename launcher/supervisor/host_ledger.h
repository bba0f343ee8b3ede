// Which hosts take part in the next attempt. A host that cannot be reached is left out until it can; one that failed
// twice although it answers is left out of one attempt. Plain bookkeeping, tested without hosts.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "launcher/supervisor/host_list.h"

namespace athanor {

class HostLedger {
 public:
  /// `window_s`: how long a failure counts.
  HostLedger(std::vector<HostSlots> hosts, double window_s) : hosts_(std::move(hosts)), window_s_(window_s) {}

  /// Ranks on that host were lost, stalled or failed at `now_s`.
  void note_failure(const std::string& host, double now_s);

  /// Of the hosts that took part, those that have failed before fail again: the attempt came to nothing, and nobody
  /// knows why.
  void suspect(std::span<const HostSlots> hosts, double now_s);

  struct Choice {
    std::vector<HostSlots> hosts;          ///< that take part, in the order in which they were given
    std::vector<std::string> unreachable;  ///< left out: did not answer
    std::vector<std::string> failing;      ///< left out this once: failed twice
    bool none_answers = false;             ///< all take part all the same
  };
  /// Never none: where all would be left out, those that answer take part, else all. `answers`: of those that were
  /// asked; what was not asked answers.
  Choice choose(const std::map<std::string, bool>& answers, double now_s);

  std::span<const HostSlots> hosts() const { return hosts_; }

 private:
  std::vector<HostSlots> hosts_;
  double window_s_;
  std::map<std::string, std::vector<double>> failures_s_;
};

/// The name in `hosts` of the host that calls itself `own_name`. Where no name fits (addresses, aliases), the position
/// among the hosts that ranks run on tells: `order` are their own names in the order of their ranks. "": unknown.
std::string listed_name(std::span<const HostSlots> hosts, const std::string& own_name,
                        std::span<const std::string> order);

}  // namespace athanor
