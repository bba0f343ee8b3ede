#include "watch/service_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/host_name.h"
#include "watch/clock.h"

namespace athanor::watch {
namespace {

/// A look that comes this late had no chance to hear the ranks: what has arrived meanwhile is read before it judges.
constexpr double kLate_s = 2;
constexpr double kDrain_s = 0.05;
/// Most of the service's time goes into answers. Not every beat of a large job has one: at least every fourth has
/// one, well within the silence that ranks worry about.
constexpr std::uint32_t kAnswersASecond = 1024;

double look_interval_s(const JudgeOptions& options) {
  return std::clamp(options.silence_warning_s / 3, 0.02, 1.0);
}

}  // namespace

ServiceCore::ServiceCore(boost::asio::io_context& context, const ServiceOptions& options,
                         std::function<void(const Event&)> on_event)
    : options_(options),
      on_event_(std::move(on_event)),
      key_(random_key()),
      answer_every_(std::clamp<std::uint32_t>(static_cast<std::uint32_t>(options.world_size) / kAnswersASecond, 1, 4)),
      gate_(
          context, key_, options,
          [this](const std::shared_ptr<FrameChannel>& channel, const Hello& hello) { return admit(channel, hello); },
          [this](std::uint64_t DroppedCallers::*why) {
            const std::lock_guard lock(mutex_);
            ++(picture_.dropped.*why);
          }),
      look_timer_(context),
      end_timer_(context),
      peers_(static_cast<std::size_t>(options.world_size)),
      judge_(options.judge) {
  picture_.ranks.resize(peers_.size());
  for (std::size_t rank = 0; rank < peers_.size(); ++rank) picture_.ranks[rank].rank = static_cast<int>(rank);
}

void ServiceCore::begin() {
  gate_.open();
  schedule_look(look_interval_s(options_.judge));
}

JobPicture ServiceCore::picture() const {
  const std::lock_guard lock(mutex_);
  JobPicture copy = picture_;
  const double now_s = steady_s();
  for (std::size_t rank = 0; rank < copy.ranks.size(); ++rank) {
    if (copy.ranks[rank].presence == Presence::expected) continue;
    copy.ranks[rank].beat_age_s = now_s - peers_[rank].beat_s;
    copy.ranks[rank].stalled_s = now_s - peers_[rank].progress_s;
  }
  return copy;
}

bool ServiceCore::admit(const std::shared_ptr<FrameChannel>& channel, const Hello& hello) {
  const auto rank = static_cast<std::size_t>(hello.rank);
  if (picture_.ranks[rank].presence != Presence::expected || peers_[rank].channel) return false;
  {
    const std::lock_guard lock(mutex_);
    RankPicture& seen = picture_.ranks[rank];
    seen.host = hello.host;
    seen.pid = hello.pid;
    seen.cpus = hello.cpus;
  }
  peers_[rank].channel = channel;
  channel->hand_over(*this, hello.rank, kMostBodyBytes);
  channel->send(Welcome{host_name()});
  if (stop_requested_) channel->send(Stop{});
  if (ending_ == Ending::told) channel->send(end_);
  return true;
}

void ServiceCore::on_message(FrameChannel& channel, Message& message) {
  const auto rank = static_cast<std::size_t>(channel.tag());
  if (const auto* const beat = std::get_if<Beat>(&message)) return on_beat(rank, channel, *beat);
  if (const auto* const news = std::get_if<News>(&message)) {
    const std::lock_guard lock(mutex_);
    picture_.news = news->news;
    return;
  }
  if (auto* const about = std::get_if<About>(&message)) {
    const std::lock_guard lock(mutex_);
    picture_.about = std::move(about->about);
    return;
  }
  if (const auto* const good_bye = std::get_if<GoodBye>(&message)) return on_good_bye(rank, *good_bye);
  if (auto* const rings = std::get_if<Rings>(&message)) {
    if (ending_ != Ending::gathering || !is_asked_[rank]) return;
    gathered_[rank] = std::move(*rings);
    return count_answer(rank);
  }
  channel.close();
  on_end(channel, ChannelEnd::malformed);
}

void ServiceCore::on_beat(std::size_t rank, FrameChannel& channel, const Beat& beat) {
  beats_.store(beats_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  const double now_s = steady_s();
  bool steps_first = false;
  const bool joins = picture_.ranks[rank].presence == Presence::expected;
  {
    const std::lock_guard lock(mutex_);
    Peer& peer = peers_[rank];
    RankPicture& seen = picture_.ranks[rank];
    peer.beat_s = now_s;
    if (joins) {
      seen.presence = Presence::connected;
      peer.progress_s = now_s;
    }
    if (beat.activity.progress != seen.activity.progress) peer.progress_s = now_s;
    seen.activity = beat.activity;
    seen.round_trip_s = beat.round_trip_s;
    seen.threads = beat.threads;
    seen.shards = beat.shards;
    peer.history.add(beat.activity.times, seen);
    steps_first = !has_stepped_ && beat.activity.step > 0;
  }
  if (peers_[rank].beats++ % answer_every_ == 0)
    channel.send_if_idle(Pulse{.sent_ns = beat.sent_ns, .watchdog_timeout_s = judge_.timeout_s()});
  if (joins && ++joined_ == options_.world_size) {
    event(EventKind::joined, {}, fmt::format("all {} ranks have called", options_.world_size));
  }
  if (steps_first) {
    has_stepped_ = true;
    event(EventKind::first_step, {static_cast<int>(rank)}, fmt::format("step {} has begun", beat.activity.step));
  }
}

void ServiceCore::on_end(FrameChannel& channel, ChannelEnd how) {
  if (how == ChannelEnd::malformed || how == ChannelEnd::oversized) {
    const std::lock_guard lock(mutex_);
    ++(how == ChannelEnd::malformed ? picture_.dropped.malformed : picture_.dropped.oversized);
  }
  const auto rank = static_cast<std::size_t>(channel.tag());
  // One that has heard no welcome gives up and calls again; it is there from its first beat on.
  if (picture_.ranks[rank].presence == Presence::expected) return peers_[rank].channel.reset();
  lose(rank, how);
}

void ServiceCore::schedule_look(double seconds) {
  look_due_s_ = steady_s() + seconds;
  after(look_timer_, seconds, &ServiceCore::look);
}

void ServiceCore::update_ages(double now_s) {
  const std::lock_guard lock(mutex_);
  for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
    RankPicture& seen = picture_.ranks[rank];
    if (seen.presence == Presence::expected) continue;
    seen.beat_age_s = now_s - peers_[rank].beat_s;
    seen.stalled_s = now_s - peers_[rank].progress_s;
  }
}

void ServiceCore::look() {
  const double now_s = steady_s();
  if (now_s > look_due_s_ + kLate_s) {
    // Nothing is forgiven twice: the judge itself sees how late the next look comes.
    return schedule_look(kDrain_s);
  }
  update_ages(now_s);
  const std::vector<Finding> findings = judge_.look(picture_, now_s);
  {
    const std::lock_guard lock(mutex_);
    picture_.watchdog_timeout_s = judge_.timeout_s();
  }
  for (const Finding& finding : findings) act_on(finding);
  schedule_look(look_interval_s(options_.judge));
}

void ServiceCore::act_on(const Finding& finding) {
  {
    const std::lock_guard lock(mutex_);
    for (const int rank : finding.ranks) {
      Presence& presence = picture_.ranks[static_cast<std::size_t>(rank)].presence;
      if (finding.kind == FindingKind::silent) presence = Presence::silent;
      if (finding.kind == FindingKind::back) presence = Presence::connected;
      if (finding.kind == FindingKind::lost) presence = Presence::lost;
    }
  }
  if (ending_ != Ending::no) return;
  if (finding.is_fatal()) {
    return begin_end(finding);
  }
  event(EventKind::warning, finding.ranks, finding.text);
  send_note(finding.text);
}

void ServiceCore::request_stop() {
  stop_requested_ = true;
  for (const Peer& peer : peers_) {
    if (peer.channel) peer.channel->send(Stop{});
  }
}

void ServiceCore::say_good_bye() {
  gate_.close();
  look_timer_.cancel();
  end_timer_.cancel();
  ending_ = Ending::told;
  for (const Peer& peer : peers_) {
    if (peer.channel) peer.channel->send(GoodBye{});
  }
}

bool ServiceCore::is_sent() const {
  return std::all_of(peers_.begin(), peers_.end(),
                     [](const Peer& peer) { return !peer.channel || peer.channel->is_sent(); });
}

void ServiceCore::send_note(const std::string& text) {
  if (peers_[0].channel) peers_[0].channel->send(Note{text});
}

void ServiceCore::event(EventKind kind, const std::vector<int>& ranks, const std::string& text) {
  Event event{kind, ranks, {}, text};
  for (const int rank : ranks) event.hosts.push_back(picture_.ranks[static_cast<std::size_t>(rank)].host);
  std::sort(event.hosts.begin(), event.hosts.end());
  event.hosts.erase(std::unique(event.hosts.begin(), event.hosts.end()), event.hosts.end());
  if (on_event_) on_event_(event);
}

void ServiceCore::after(boost::asio::steady_timer& timer, double seconds, void (ServiceCore::*act)()) {
  timer.expires_after(in_ns(seconds));
  timer.async_wait([this, act](const boost::system::error_code& error) {
    if (!error) (this->*act)();
  });
}

}  // namespace athanor::watch
