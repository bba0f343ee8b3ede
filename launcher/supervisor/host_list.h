// The hosts that a job may use and how many ranks each takes: "h1:4,h2:4" of the command line, and what Slurm says of
// an allocation.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace athanor {

/// A host, and how many ranks it takes.
struct HostSlots {
  std::string name;
  int slots = 1;
  bool operator==(const HostSlots&) const = default;
};

/// "h1:4,h2:4"; without a number a host takes one. Throws UsageError.
std::vector<HostSlots> parse_host_list(const std::string& text);

/// Slurm's "2(x3),1": 2, 2, 2, 1. Throws UsageError.
std::vector<int> parse_tasks_per_node(const std::string& text);

int slots_of(std::span<const HostSlots> hosts);
/// "node1, node2"
std::string names_text(std::span<const HostSlots> hosts);
/// The first hosts that `ranks` ranks fill, each with as many slots as it gets ranks.
std::vector<HostSlots> fill(std::span<const HostSlots> hosts, int ranks);

/// Whether two names are of one host: equal, or one is the other without its domain.
bool is_same_host(const std::string& a, const std::string& b);

}  // namespace athanor
