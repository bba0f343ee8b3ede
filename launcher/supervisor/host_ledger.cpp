#include "launcher/supervisor/host_ledger.h"

#include <algorithm>

namespace athanor {

void HostLedger::note_failure(const std::string& host, double now_s) {
  failures_s_[host].push_back(now_s);
}

void HostLedger::suspect(std::span<const HostSlots> hosts, double now_s) {
  for (const HostSlots& host : hosts) {
    const auto known = failures_s_.find(host.name);
    if (known != failures_s_.end() && !known->second.empty()) known->second.push_back(now_s);
  }
}

HostLedger::Choice HostLedger::choose(const std::map<std::string, bool>& answers, double now_s) {
  constexpr std::size_t kFailuresToLeaveOut = 2;
  Choice choice;
  std::vector<HostSlots> reachable;
  for (const HostSlots& host : hosts_) {
    const auto answer = answers.find(host.name);
    if (answer != answers.end() && !answer->second) {
      choice.unreachable.push_back(host.name);
      continue;
    }
    reachable.push_back(host);
    std::vector<double>& failures = failures_s_[host.name];
    std::erase_if(failures, [&](double at_s) { return at_s < now_s - window_s_; });
    if (failures.size() >= kFailuresToLeaveOut) {
      choice.failing.push_back(host.name);
    } else {
      choice.hosts.push_back(host);
    }
  }
  if (choice.hosts.empty()) {
    choice.hosts = reachable.empty() ? hosts_ : reachable;
    choice.failing.clear();
    choice.none_answers = reachable.empty();
    if (reachable.empty()) choice.unreachable.clear();
  }
  // It is back at the next attempt, with a clean record.
  for (const std::string& host : choice.failing) failures_s_[host].clear();
  return choice;
}

std::string listed_name(std::span<const HostSlots> hosts, const std::string& own_name,
                        std::span<const std::string> order) {
  for (const HostSlots& host : hosts) {
    if (is_same_host(host.name, own_name)) return host.name;
  }
  const auto found = std::find(order.begin(), order.end(), own_name);
  const auto position = static_cast<std::size_t>(found - order.begin());
  return found != order.end() && position < hosts.size() ? hosts[position].name : "";
}

}  // namespace athanor
