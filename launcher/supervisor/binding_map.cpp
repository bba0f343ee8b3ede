#include "launcher/supervisor/binding_map.h"

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <set>
#include <sstream>

#include "base/cpu_set.h"

namespace athanor {
namespace {

std::set<int> cpus_of(const std::string& list) {
  constexpr int kMostCpus = 1 << 16;
  std::set<int> cpus;
  std::istringstream parts(list);
  for (std::string part; std::getline(parts, part, ',');) {
    int first = 0;
    const char* const end = part.data() + part.size();
    auto [at, error] = std::from_chars(part.data(), end, first);
    if (error != std::errc()) return {};
    int last = first;
    if (at != end && *at == '-') error = std::from_chars(at + 1, end, last).ec;
    if (error != std::errc() || last >= kMostCpus) return {};
    for (int cpu = first; cpu <= last; ++cpu) cpus.insert(cpu);
  }
  return cpus;
}

/// Ranks of a host that have the same cpus and as many threads.
struct Team {
  std::vector<int> ranks;
  std::string cpus;
  int threads = 0;
};

std::string text_of(const Team& team) {
  const bool several = team.ranks.size() > 1;
  return fmt::format("{} {} on cpus {}, {} thread{}{}", several ? "ranks" : "rank", cpu_list_text(team.ranks),
                     team.cpus.empty() ? "?" : team.cpus, team.threads, team.threads == 1 ? "" : "s",
                     several ? " each" : "");
}

std::map<std::string, std::vector<Team>> teams_by_host(const watch::JobPicture& picture) {
  std::map<std::string, std::vector<Team>> hosts;
  for (const watch::RankPicture& rank : picture.ranks) {
    if (rank.host.empty()) continue;
    std::vector<Team>& teams = hosts[rank.host];
    if (teams.empty() || teams.back().cpus != rank.cpus || teams.back().threads != rank.threads) {
      teams.push_back({{}, rank.cpus, rank.threads});
    }
    teams.back().ranks.push_back(rank.rank);
  }
  return hosts;
}

}  // namespace

std::vector<std::string> binding_map(const watch::JobPicture& picture) {
  std::vector<std::string> lines;
  for (const auto& [host, teams] : teams_by_host(picture)) {
    std::string line;
    for (const Team& team : teams) line += (line.empty() ? host + ": " : "; ") + text_of(team);
    lines.push_back(line);
  }
  return lines;
}

std::vector<std::string> binding_warnings(const watch::JobPicture& picture) {
  std::vector<std::string> lines;
  for (const auto& [host, teams] : teams_by_host(picture)) {
    std::set<int> cpus;
    int threads = 0;
    for (const Team& team : teams) {
      cpus.merge(cpus_of(team.cpus));
      threads += team.threads * static_cast<int>(team.ranks.size());
    }
    if (!cpus.empty() && threads > static_cast<int>(cpus.size())) {
      lines.push_back(
          fmt::format("{}: {} threads compute on {} cpu{} that the ranks may use: start fewer ranks there, or let them "
                      "use more (sbatch --cpus-per-task, taskset)",
                      host, threads, cpus.size(), cpus.size() == 1 ? "" : "s"));
    }
  }
  return lines;
}

}  // namespace athanor
