#include "preflight/rank_binding.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "train/hardware.h"
#include "train/units_text.h"

namespace athanor {
namespace {

/// The ranks of one host.
using HostRanks = std::vector<int>;

std::map<std::string, HostRanks> ranks_by_host(std::span<const RankPlace> ranks) {
  std::map<std::string, HostRanks> hosts;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) hosts[ranks[rank].host].push_back(static_cast<int>(rank));
  return hosts;
}

Finding warn_of(std::string text) {
  return {std::move(text), CheckStatus::warning};
}

std::string rank_list(const std::vector<int>& ranks) {
  return fmt::format("{} {}", ranks.size() == 1 ? "rank" : "ranks", cpu_list_text(ranks));
}

std::optional<Finding> too_many_threads(std::span<const RankPlace> ranks) {
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    const RankPlace& place = ranks[rank];
    const int cpus = std::min(static_cast<int>(place.cpus.size()), place.host_cpus);
    if (place.threads <= cpus) continue;
    return warn_of(fmt::format(
        "rank {} on {} runs {} on {} ({}): `mpirun --map-by slot:PE={}` or `--bind-to none`, `srun --cpus-per-task={}`",
        rank, place.host, plural(place.threads, "thread"), plural(cpus, "cpu"), cpu_list_text(place.cpus),
        place.threads, place.threads));
  }
  return std::nullopt;
}

/// Threads spread evenly over the cpus of their rank: where they come to more than one on a cpu, ranks are in each
/// other's way.
std::optional<Finding> shared_too_much(const std::string& host, const HostRanks& on_host,
                                       std::span<const RankPlace> ranks) {
  std::map<int, double> load;
  std::map<int, std::vector<int>> users;
  int threads = 0;
  for (const int rank : on_host) {
    const RankPlace& place = ranks[static_cast<std::size_t>(rank)];
    threads += place.threads;
    for (const int cpu : place.cpus) {
      load[cpu] += static_cast<double>(place.threads) / static_cast<double>(place.cpus.size());
      users[cpu].push_back(rank);
    }
  }
  const int host_cpus = ranks[static_cast<std::size_t>(on_host[0])].host_cpus;
  if (threads > host_cpus) {
    return warn_of(fmt::format("{} on {} run {} on {}: start fewer ranks there, or set train.shard_threads lower",
                               rank_list(on_host), host, plural(threads, "thread"), plural(host_cpus, "cpu")));
  }
  constexpr double kRounding = 1e-6;
  for (const auto& [cpu, sum] : load) {
    if (sum <= 1 + kRounding || users[cpu].size() < 2) continue;
    return warn_of(
        fmt::format("{} on {} share cpu {}, while others are free: `mpirun --map-by slot:PE={}`, `srun "
                    "--cpu-bind=cores --cpus-per-task={}`",
                    rank_list(users[cpu]), host, cpu, threads / static_cast<int>(on_host.size()),
                    threads / static_cast<int>(on_host.size())));
  }
  return std::nullopt;
}

std::optional<Finding> shared_device(const std::string& host, const HostRanks& on_host,
                                     std::span<const RankPlace> ranks) {
  std::map<std::string, std::vector<int>> users;
  for (const int rank : on_host) {
    const std::string& device = ranks[static_cast<std::size_t>(rank)].device;
    if (!device.empty()) users[device].push_back(rank);
  }
  for (const auto& [device, sharing] : users) {
    if (sharing.size() < 2) continue;
    return warn_of(
        fmt::format("{} on {} share the GPU {}, and gradients go through the host's memory: as many ranks "
                    "as GPUs, or `srun --gpus-per-task=1`",
                    rank_list(sharing), host, device));
  }
  return std::nullopt;
}

std::optional<Finding> mostly_unused(const std::string& host, const HostRanks& on_host,
                                     std::span<const RankPlace> ranks) {
  std::set<int> used;
  for (const int rank : on_host) {
    const std::vector<int>& cpus = ranks[static_cast<std::size_t>(rank)].cpus;
    used.insert(cpus.begin(), cpus.end());
  }
  const RankPlace& first = ranks[static_cast<std::size_t>(on_host[0])];
  if (ranks.size() < 2 || static_cast<int>(used.size()) * 2 > first.host_cpus) return std::nullopt;
  const int each = first.host_cpus / static_cast<int>(on_host.size());
  return warn_of(
      fmt::format("{} on {} may use {} of the host's {} ({}): `mpirun --map-by slot:PE={}` or `--bind-to "
                  "none`, `srun --cpus-per-task={}`",
                  rank_list(on_host), host, used.size(), plural(first.host_cpus, "cpu"),
                  cpu_list_text({used.begin(), used.end()}), each, each));
}

/// "rank 0: cpus 0-3, GPU 0000:3b:00.0; rank 1: …" of the first host; the others are alike, or a warning.
std::string map_text(const HostRanks& on_host, std::span<const RankPlace> ranks) {
  constexpr std::size_t kMost = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(on_host.size(), kMost); ++i) {
    const RankPlace& place = ranks[static_cast<std::size_t>(on_host[i])];
    text += fmt::format("{}rank {}: {} {}", i == 0 ? "" : "; ", on_host[i], place.cpus.size() == 1 ? "cpu" : "cpus",
                        cpu_list_text(place.cpus));
    if (place.threads > 0) text += ", " + plural(place.threads, "thread");
    if (!place.device.empty()) text += ", GPU " + place.device;
  }
  return on_host.size() > kMost ? text + "; …" : text;
}

}  // namespace

std::string text_of_place(const RankPlace& place) {
  std::string text = fmt::format("{} {} {}", place.host_cpus, place.threads, place.device.empty() ? "-" : place.device);
  for (const int cpu : place.cpus) text += fmt::format(" {}", cpu);
  return text;
}

RankPlace place_of_text(const std::string& text, const std::string& host) {
  RankPlace place{.host = host};
  std::istringstream in(text);
  in >> place.host_cpus >> place.threads >> place.device;
  if (place.device == "-") place.device.clear();
  for (int cpu = 0; in >> cpu;) place.cpus.push_back(cpu);
  return place;
}

Finding judge_binding(std::span<const RankPlace> ranks) {
  if (const auto found = too_many_threads(ranks)) return *found;
  const auto hosts = ranks_by_host(ranks);
  for (const auto& check : {shared_too_much, shared_device, mostly_unused}) {
    for (const auto& [host, on_host] : hosts) {
      if (const auto found = check(host, on_host, ranks)) return *found;
    }
  }
  const HostRanks& first = hosts.at(ranks[0].host);
  return {map_text(first, ranks) +
          (hosts.size() > 1
               ? fmt::format("; {} likewise", plural(static_cast<std::int64_t>(hosts.size()) - 1, "other host"))
               : "")};
}

}  // namespace athanor
