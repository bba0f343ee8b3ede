#include "preflight/host_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "train/units_text.h"

namespace athanor {
namespace {

struct HostMemory {
  int ranks = 0;
  std::uint64_t planned = 0, to_come = 0;
  const RankMemory* tightest = nullptr;
};

/// Whole gigabytes, with room for what is not planned: code, libraries, buffers of MPI.
std::uint64_t enough_gib(std::uint64_t bytes) {
  constexpr double kGibibyte = 1 << 30, kRoom = 1.25;
  return static_cast<std::uint64_t>(static_cast<double>(bytes) * kRoom / kGibibyte) + 1;
}

}  // namespace

std::string text_of_memory(const RankMemory& memory) {
  return fmt::format("{} {} {} {} {}", memory.planned_bytes, memory.to_come_bytes, memory.limit_bytes,
                     memory.left_bytes, memory.group);
}

RankMemory memory_of_text(const std::string& text, const std::string& host) {
  RankMemory memory{.host = host};
  std::istringstream in(text);
  in >> memory.planned_bytes >> memory.to_come_bytes >> memory.limit_bytes >> memory.left_bytes >> std::ws;
  std::getline(in, memory.group);
  return memory;
}

Finding judge_host_memory(std::span<const RankMemory> ranks) {
  std::map<std::string, HostMemory> hosts;
  for (const RankMemory& rank : ranks) {
    HostMemory& host = hosts[rank.host];
    ++host.ranks;
    host.planned += rank.planned_bytes;
    host.to_come += rank.to_come_bytes;
    if (host.tightest == nullptr || rank.left_bytes < host.tightest->left_bytes) host.tightest = &rank;
  }
  for (const auto& [name, host] : hosts) {
    const RankMemory& tightest = *host.tightest;
    const std::string who = fmt::format("the {} on {}", plural(host.ranks, "rank"), name);
    if (tightest.limit_bytes > 0 && host.planned > tightest.limit_bytes) {
      return {
          fmt::format("{} will hold {}, and their control group ({}) may have {}: ask for more (`sbatch --mem={}G`, "
                      "a container's memory limit), or start fewer ranks there",
                      who, bytes_text(host.planned), tightest.group, bytes_text(tightest.limit_bytes),
                      enough_gib(host.planned)),
          CheckStatus::failed, ExitCode::device};
    }
    if (host.to_come > tightest.left_bytes) {
      return {fmt::format("{} will take {} more, and {} are left{}: end what else runs there, or ask for more (`sbatch "
                          "--mem={}G`)",
                          who, bytes_text(host.to_come), bytes_text(tightest.left_bytes),
                          tightest.limit_bytes > 0 ? " of " + bytes_text(tightest.limit_bytes) : "",
                          enough_gib(host.planned)),
              CheckStatus::warning};
    }
  }
  const HostMemory& first = hosts.at(ranks[0].host);
  const RankMemory& tightest = *first.tightest;
  const std::string limit = tightest.limit_bytes > 0
                                ? fmt::format("limit {} ({}), {} left", bytes_text(tightest.limit_bytes),
                                              tightest.group, bytes_text(tightest.left_bytes))
                                : fmt::format("no limit by a control group, {} left", bytes_text(tightest.left_bytes));
  if (first.planned == 0) return {limit};
  return {fmt::format("{}; the {} here will hold {}", limit, plural(first.ranks, "rank"), bytes_text(first.planned))};
}

}  // namespace athanor
