#include "train/core_share.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>
#include <string>

namespace athanor {
namespace {

/// "2 0 1 2 3": the quota's cores, then the cpus.
std::string text_of_cpus(const Hardware& hardware) {
  std::string text = std::to_string(hardware.allowed_cpus);
  for (const int cpu : allowed_cpu_ids()) text += fmt::format(" {}", cpu);
  return text;
}

struct RankCpus {
  int quota = 1;
  std::vector<int> cpus;
};

RankCpus cpus_of_text(const std::string& text) {
  RankCpus result;
  std::istringstream in(text);
  in >> result.quota;
  for (int cpu = 0; in >> cpu;) result.cpus.push_back(cpu);
  return result;
}

}  // namespace

std::vector<double> core_shares(std::span<const std::vector<int>> allowed) {
  std::map<int, int> users;
  for (const std::vector<int>& cpus : allowed) {
    for (const int cpu : cpus) ++users[cpu];
  }
  std::vector<double> shares;
  for (const std::vector<int>& cpus : allowed) {
    double share = 0;
    for (const int cpu : cpus) share += 1.0 / users.at(cpu);
    shares.push_back(share);
  }
  return shares;
}

int whole_cores(double share) {
  // Three thirds of a core are one, whatever rounding says.
  return std::max(1, static_cast<int>(std::floor(share + 1e-6)));
}

void share_cores(Hardware& hardware, Communicator& communicator) {
  const std::vector<std::string> texts = gather_texts(communicator, text_of_cpus(hardware), "cores of the ranks");
  const auto cores_of = [&](int asked) {
    std::vector<std::vector<int>> allowed;
    std::size_t place = 0;
    int quota = 1;
    for (int rank = 0; rank < communicator.size(); ++rank) {
      if (communicator.host(rank) != communicator.host(asked)) continue;
      RankCpus of_rank = cpus_of_text(texts[static_cast<std::size_t>(rank)]);
      if (rank == asked) {
        place = allowed.size();
        quota = of_rank.quota;
      }
      allowed.push_back(std::move(of_rank.cpus));
    }
    const bool has_quota = quota < static_cast<int>(allowed[place].size());
    const double share = core_shares(allowed)[place];
    // Ranks of one host are in one control group as a rule, and share its quota.
    return whole_cores(has_quota ? std::min(share, quota / static_cast<double>(allowed.size())) : share);
  };
  hardware.cores = cores_of(communicator.rank());
  hardware.first_rank_cores = cores_of(0);
}

}  // namespace athanor
