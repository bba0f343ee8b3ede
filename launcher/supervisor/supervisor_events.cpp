// What the supervisor makes of what the heartbeat service hears: whom to blame, whom to ask, what to say.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "launcher/supervisor/binding_map.h"
#include "launcher/supervisor/narration.h"
#include "launcher/supervisor/supervisor.h"

namespace athanor {
namespace {

std::string_view kind_name(watch::EventKind kind) {
  switch (kind) {
    case watch::EventKind::lost:
      return "lost";
    case watch::EventKind::stalled:
      return "stalled";
    default:
      return "failed";
  }
}

/// What the hosts call themselves, in the order of their ranks.
std::vector<std::string> hosts_in_order(const watch::JobPicture& picture) {
  std::vector<std::string> order;
  for (const watch::RankPicture& rank : picture.ranks) {
    if (!rank.host.empty() && std::find(order.begin(), order.end(), rank.host) == order.end()) {
      order.push_back(rank.host);
    }
  }
  return order;
}

/// Of a report's lines the first, which says who and what.
std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace

void Supervisor::on_event(const watch::Event& event, const std::vector<HostSlots>& hosts, HostProbe& probe) {
  using watch::EventKind;
  switch (event.kind) {
    case EventKind::joined:
      restart_.meeting_s = seconds_since(begun_);
      record_.change([](JobStatus& status) { status.state = "running"; });
      return;
    case EventKind::first_step:
      return on_first_step();
    case EventKind::warning:
      return on_warning(event);
    case EventKind::lost:
    case EventKind::stalled:
    case EventKind::failed:
      record_.note_training(false);
      note_fault(kind_name(event.kind), event.hosts, event.text);
      if (event.kind != EventKind::failed || has_failed_device(event)) blame(event.hosts, hosts, probe);
  }
}

/// Silence and slowness are recorded; that a rank is heard again is only said.
void Supervisor::on_warning(const watch::Event& event) {
  const watch::JobPicture picture = record_.status().picture;
  const bool is_silent = std::any_of(event.ranks.begin(), event.ranks.end(), [&](int rank) {
    return picture.ranks.at(static_cast<std::size_t>(rank)).presence == watch::Presence::silent;
  });
  const bool is_straggler = event.text.find("straggler") != std::string::npos;
  if (is_silent || is_straggler) return note_fault(is_silent ? "silent" : "straggler", event.hosts, event.text);
  say(event.text);
}

/// A rank that lacks memory or a device: its host is to blame. What else a rank says of itself comes from others, or
/// from what all of them share.
bool Supervisor::has_failed_device(const watch::Event& event) const {
  const watch::JobPicture picture = record_.status().picture;
  return std::any_of(event.ranks.begin(), event.ranks.end(), [&](int rank) {
    return picture.ranks.at(static_cast<std::size_t>(rank)).exit_code == static_cast<int>(ExitCode::device);
  });
}

void Supervisor::on_first_step() {
  record_.note_training(true);
  // Ranks of which one cannot call never count as joined.
  record_.change([](JobStatus& status) { status.state = "running"; });
  constexpr int kMostLooks = 20;
  show_binding(kMostLooks);
  if (!detected_) return;
  const double restart_s = seconds_since(*std::exchange(detected_, std::nullopt));
  record_.change([&](JobStatus& status) { status.last_restart_s = restart_s; });
  say(fmt::format(
      "restarted in {:.1f} s: {:.1f} s until nothing ran any more, {:.1f} s to choose hosts, {:.1f} s until "
      "the ranks had met, {:.1f} s until their first step",
      restart_s, restart_.ending_s, restart_.choosing_s, restart_.meeting_s,
      restart_s - restart_.ending_s - restart_.choosing_s - restart_.meeting_s));
}

/// Ranks say with a later beat how many threads they have.
void Supervisor::show_binding(int looks_left) {
  const watch::JobPicture picture = record_.status().picture;
  const bool is_known = std::all_of(picture.ranks.begin(), picture.ranks.end(),
                                    [](const watch::RankPicture& rank) { return rank.threads > 0; });
  if (!is_known && looks_left > 0) {
    binding_timer_.expires_after(in_seconds(0.25));
    binding_timer_.async_wait([this, looks_left](const boost::system::error_code& error) {
      if (!error) show_binding(looks_left - 1);
    });
    return;
  }
  const std::vector<std::string> map = binding_map(picture);
  if (map == shown_map_) return;
  for (const std::string& line : map) say(line);
  for (const std::string& line : binding_warnings(picture)) say("warning: " + line);
  shown_map_ = map;
}

/// Hosts of ranks that ended without a word, whatever was to blame; all of them where nobody has joined.
void Supervisor::ask_silent_hosts(const std::vector<HostSlots>& hosts, HostProbe& probe) const {
  const watch::JobPicture picture = record_.status().picture;
  const std::vector<std::string> order = hosts_in_order(picture);
  for (const watch::RankPicture& rank : picture.ranks) {
    if (!rank.exit_code && !rank.host.empty()) ask(listed_name(hosts, rank.host, order), probe);
  }
  if (!order.empty()) return;
  for (const HostSlots& host : hosts) ask(host.name, probe);
}

/// The event's hosts; where ranks of others have been silent for longer, those: a launcher that misses a host ends what
/// it can reach.
void Supervisor::blame(const std::vector<std::string>& own_names, const std::vector<HostSlots>& hosts,
                       HostProbe& probe) {
  const watch::JobPicture picture = record_.status().picture;
  std::set<std::string> culprits;
  for (const watch::RankPicture& rank : picture.ranks) {
    if (rank.presence == watch::Presence::silent) culprits.insert(rank.host);
  }
  if (culprits.empty()) culprits.insert(own_names.begin(), own_names.end());
  const std::vector<std::string> order = hosts_in_order(picture);
  for (const std::string& own_name : culprits) {
    const std::string host = listed_name(hosts, own_name, order);
    if (!host.empty()) ledger_.note_failure(host, now_s());
    ask(host, probe);
  }
}

/// Nobody needs to ask this machine about itself, nor Slurm about the only host there is.
void Supervisor::ask(const std::string& host, HostProbe& probe) const {
  const Place& place = options_.place;
  const bool is_askable = place.hosts.size() > 1 || (!place.is_this_machine && place.slurm_job.empty());
  if (!host.empty() && is_askable) probe.ask(host);
}

void Supervisor::note_fault(std::string_view kind, const std::vector<std::string>& hosts, const std::string& text) {
  // A rank that fails says why by itself.
  if (kind != kind_name(watch::EventKind::failed)) say((is_warning(kind) ? "warning: " : "") + text);
  FaultRecord fault;
  fault.time = utc_now();
  fault.attempt = number_;
  fault.step = furthest_step(record_.status().picture);
  fault.kind = kind;
  fault.hosts = hosts;
  fault.text = first_line(text);
  record_.add_fault(std::move(fault));
}

}  // namespace athanor
