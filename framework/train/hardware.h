// What this process may use of the machine: processor, cores and memory after affinity masks and control groups.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "base/cpu_set.h"

namespace athanor {

struct Hardware {
  std::string cpu_model;  ///< as /proc/cpuinfo says; "unknown processor" where it does not
  std::string isa;        ///< instruction set of our own kernels: "baseline", "avx2", "avx512"
  int allowed_cpus = 1;   ///< min(affinity mask, control group's cpu quota rounded up), at least 1
  /// Of them, those that this rank may count on where ranks share a host, and those of rank 0, which decides how many
  /// threads run a shard; 0: not shared, all allowed ones. share_cores fills them in.
  int cores = 0;
  int first_rank_cores = 0;
  std::size_t memory_available_bytes = 0;  ///< min(limit − usage of every control group above us, MemAvailable)
  std::string host;
};

/// Reads /proc and /sys of the machine; never throws: what cannot be read counts as no limit. `root` stands in front of
/// both, so that the rules can be tried on other machines' files.
Hardware probe_hardware(const std::filesystem::path& root = "/");

/// What the scheduler allows: "cpus 0-1, not bound" or "cpus 4-7 of 64, bound from outside".
std::string binding_text();

}  // namespace athanor
