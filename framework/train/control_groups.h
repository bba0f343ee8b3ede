// What the kernel's control groups grant this process: Slurm, containers and systemd set their limits there. Versions 1
// and 2; a limit holds for a group and all below it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace athanor {

struct MemoryLimit {
  std::filesystem::path group;  ///< the folder that it is set in
  std::uint64_t limit_bytes = 0;
  std::uint64_t left_bytes = 0;  ///< limit − usage, where page cache that can be dropped is not usage
};

/// The limit that leaves least; none where no group above us has one. `root` stands in front of /proc and /sys.
std::optional<MemoryLimit> tightest_memory_limit(const std::filesystem::path& root = "/");

/// Cores that the cpu quotas amount to, a fraction perhaps; `otherwise` where it is less or there is no quota.
double quota_cpus(const std::filesystem::path& root, double otherwise);

/// Cpus that the cpuset of our group holds; none where it cannot be read.
std::optional<int> cpuset_size(const std::filesystem::path& root = "/");

}  // namespace athanor
