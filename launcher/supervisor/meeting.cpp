#include "launcher/supervisor/meeting.h"

#include <fmt/format.h>

#include <algorithm>

#include "watch/wording.h"

namespace athanor {

double default_start_timeout_s(int ranks) {
  return 60 + 0.1 * ranks;
}

Missing missing_ranks(watch::JobPicture picture, std::span<const HostSlots> hosts, double waited_s) {
  Missing missing;
  auto rank = picture.ranks.begin();
  for (const HostSlots& host : hosts) {
    for (int slot = 0; slot < host.slots && rank != picture.ranks.end(); ++slot, ++rank) {
      if (rank->presence != watch::Presence::expected) continue;
      rank->host = host.name;
      missing.ranks.push_back(rank->rank);
      if (missing.hosts.empty() || missing.hosts.back() != host.name) missing.hosts.push_back(host.name);
    }
  }
  if (missing.ranks.empty()) return missing;
  const bool is_nobody_here = missing.ranks.size() == picture.ranks.size();
  missing.text =
      fmt::format("{} {} not called within {}{}", names_of(picture, missing.ranks),
                  missing.ranks.size() == 1 ? "has" : "have", watch::duration_text(waited_s),
                  is_nobody_here ? ": a host that does not answer, or a rank that stands still, holds up all" : "");
  if (is_nobody_here) missing.hosts.clear();
  return missing;
}

}  // namespace athanor
