// The shell's `ulimit`s that hurt a run, before it runs into them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>

#include "preflight/finding.h"

namespace athanor {

/// What a limit that is not set counts as.
inline constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

/// `soft` is what holds now, `hard` how far this user may raise it.
struct ResourceLimit {
  std::uint64_t soft = kUnlimited;
  std::uint64_t hard = kUnlimited;
};

struct ResourceLimits {
  ResourceLimit open_files, processes;
  ResourceLimit cpu_s;
  ResourceLimit stack_bytes, file_bytes, core_bytes, locked_bytes, address_bytes;
};

/// From /proc/self/limits; what cannot be read counts as no limit. `root` stands in front of /proc.
ResourceLimits read_resource_limits(const std::filesystem::path& root = "/");

/// What a run asks of them.
struct LimitNeeds {
  int ranks = 1;                       ///< connections that one rank may have
  int threads_of_host = 1;             ///< of all ranks of a host
  std::uint64_t peak_bytes = 0;        ///< of a rank's memory; 0: not known
  std::uint64_t checkpoint_bytes = 0;  ///< 0: not known, or written by another rank
  bool has_rdma = false;               ///< InfiniBand or RoCE cards, which want locked memory
  bool has_device = false;             ///< a GPU, whose driver reserves address space by the terabyte
};

/// The first limit that is too low, with the command that raises it. A file size limit below a checkpoint's size, and
/// an address space below the run's peak, fail; others warn.
Finding judge_limits(const ResourceLimits& limits, const LimitNeeds& needs);

}  // namespace athanor
