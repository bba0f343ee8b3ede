#include "preflight/resource_limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <string>

#include "base/text_file.h"
#include "train/proc_text.h"
#include "train/units_text.h"

namespace athanor {
namespace {

/// Descriptors that libraries, files and a launcher take, and those for each other rank: MPI over several interfaces,
/// and heartbeats.
constexpr std::uint64_t kOwnFiles = 256, kFilesOfRank = 3;
/// Threads of MPI, the loader, checkpoints and the launcher beside those that compute.
constexpr std::uint64_t kOwnThreads = 256;
constexpr std::uint64_t kLeastStack = std::uint64_t{1} << 20;
/// Code, libraries, MPI's shared memory and the heaps' slack beside what is planned.
constexpr std::uint64_t kOwnAddresses = std::uint64_t{2} << 30;
/// A crash that writes this much takes the node's disk, or minutes, with it.
constexpr std::uint64_t kMuchCore = std::uint64_t{1} << 30;

ResourceLimit limit_in(const std::string& text, const char* name) {
  const auto rest = after_key(text, name);
  if (!rest) return {};
  std::istringstream words{std::string(*rest)};
  std::string soft, hard;
  words >> soft >> hard;
  return {leading_number(soft).value_or(kUnlimited), leading_number(hard).value_or(kUnlimited)};
}

/// A limit as a shell and as systemd call it.
struct LimitName {
  char flag;
  const char* in_unit;
};
constexpr LimitName kFiles{'n', "LimitNOFILE"}, kProcesses{'u', "LimitNPROC"}, kCpu{'t', "LimitCPU"},
    kStack{'s', "LimitSTACK"}, kFileSize{'f', "LimitFSIZE"}, kLocked{'l', "LimitMEMLOCK"}, kAddresses{'v', "LimitAS"};

/// "ulimit -n 4096 before the launcher", or who must raise it where this user may not.
std::string raise(const LimitName& name, const ResourceLimit& limit, std::uint64_t wanted, std::uint64_t unit = 1) {
  const std::string value = wanted == kUnlimited ? "unlimited" : std::to_string((wanted + unit - 1) / unit);
  if (limit.hard >= wanted) {
    return fmt::format("`ulimit -{} {}` in the shell or batch script, before the launcher", name.flag, value);
  }
  return fmt::format(
      "the hard limit is no higher: ask for {} in /etc/security/limits.conf of this host, or {} in the "
      "unit of slurmd or of the container runtime",
      value, name.in_unit);
}

Finding warn(std::string text) {
  return {std::move(text), CheckStatus::warning};
}

}  // namespace

ResourceLimits read_resource_limits(const std::filesystem::path& root) {
  const std::string text = read_text(root / "proc/self/limits");
  return {.open_files = limit_in(text, "Max open files"),
          .processes = limit_in(text, "Max processes"),
          .cpu_s = limit_in(text, "Max cpu time"),
          .stack_bytes = limit_in(text, "Max stack size"),
          .file_bytes = limit_in(text, "Max file size"),
          .core_bytes = limit_in(text, "Max core file size"),
          .locked_bytes = limit_in(text, "Max locked memory"),
          .address_bytes = limit_in(text, "Max address space")};
}

Finding judge_limits(const ResourceLimits& limits, const LimitNeeds& needs) {
  const auto low = [](const ResourceLimit& limit, std::uint64_t wanted) { return limit.soft < wanted; };
  if (needs.checkpoint_bytes > 0 && low(limits.file_bytes, needs.checkpoint_bytes)) {
    return {fmt::format("files may have {}, and a checkpoint has {}: {}", bytes_text(limits.file_bytes.soft),
                        bytes_text(needs.checkpoint_bytes), raise(kFileSize, limits.file_bytes, kUnlimited)),
            CheckStatus::failed, ExitCode::storage};
  }
  if (needs.peak_bytes > 0 && low(limits.address_bytes, needs.peak_bytes)) {
    return {fmt::format("a process may have {} of addresses, and the run needs {} of memory: {}",
                        bytes_text(limits.address_bytes.soft), bytes_text(needs.peak_bytes),
                        raise(kAddresses, limits.address_bytes, kUnlimited)),
            CheckStatus::failed, ExitCode::device};
  }
  const bool tight = needs.has_device || low(limits.address_bytes, needs.peak_bytes + kOwnAddresses);
  if (limits.address_bytes.soft != kUnlimited && tight) {
    return warn(fmt::format("a process may have {} of addresses, which is little for MPI and {}: {}",
                            bytes_text(limits.address_bytes.soft), needs.has_device ? "CUDA" : "this run",
                            raise(kAddresses, limits.address_bytes, kUnlimited)));
  }
  const std::uint64_t files = kOwnFiles + kFilesOfRank * static_cast<std::uint64_t>(needs.ranks);
  if (low(limits.open_files, files)) {
    return warn(fmt::format("{} files and connections may be open, and {} may want {}: {}", limits.open_files.soft,
                            plural(needs.ranks, "rank"), files, raise(kFiles, limits.open_files, files)));
  }
  const std::uint64_t threads = kOwnThreads + 4 * static_cast<std::uint64_t>(needs.threads_of_host);
  if (low(limits.processes, threads)) {
    return warn(fmt::format("this user may have {} processes and threads, and this host may want {}: {}",
                            limits.processes.soft, threads, raise(kProcesses, limits.processes, threads)));
  }
  if (limits.cpu_s.soft != kUnlimited) {
    return warn(fmt::format("the kernel kills a process after {} of cpu time: {}",
                            duration_text(static_cast<double>(limits.cpu_s.soft)),
                            raise(kCpu, limits.cpu_s, kUnlimited)));
  }
  if (low(limits.stack_bytes, kLeastStack)) {
    return warn(fmt::format("threads get {} of stack: {}", bytes_text(limits.stack_bytes.soft),
                            raise(kStack, limits.stack_bytes, 8 * kLeastStack, 1024)));
  }
  if (needs.has_rdma && limits.locked_bytes.soft != kUnlimited) {
    return warn(fmt::format("{} of memory may be locked, and the RDMA cards of this host want all they ask for: {}",
                            bytes_text(limits.locked_bytes.soft), raise(kLocked, limits.locked_bytes, kUnlimited)));
  }
  if (limits.core_bytes.soft != 0 && needs.peak_bytes > kMuchCore) {
    return warn(
        fmt::format("a crash would write a core file of up to {} for each rank: `ulimit -c 0` before the "
                    "launcher, unless that is wanted",
                    bytes_text(std::min(limits.core_bytes.soft, needs.peak_bytes))));
  }
  return {fmt::format("{} open files, {}",
                      limits.open_files.soft == kUnlimited
                          ? "any number of"
                          : count_text(static_cast<std::int64_t>(limits.open_files.soft)),
                      "and none of the others hurts")};
}

}  // namespace athanor
