#include "watch/client_core.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "watch/clock.h"
#include "watch/errand.h"
#include "watch/judge.h"
#include "watch/rank_history.h"
#include "watch/stack.h"
#include "watch/wording.h"

namespace athanor::watch {
namespace {

constexpr std::size_t kRoundTrips = 9;
constexpr std::size_t kMostEarlyNotes = 16;
/// A first step is news: until then it is looked for this often.
constexpr double kQuickTick_s = 0.1;
/// This process was stopped, or its machine: nobody could be heard.
constexpr double kPaused_s = 2;
constexpr double kLastWordsTime_s = 0.5;

}  // namespace

ClientCore::ClientCore(boost::asio::io_context& context, const Invitation& invitation, const ClientOptions& options,
                       const Activity& activity)
    : invitation_(invitation),
      options_(options),
      activity_(activity),
      tick_timer_(context),
      call_(
          context, invitation, options,
          [this](std::shared_ptr<FrameChannel> channel, const Welcome& welcome) { join(std::move(channel), welcome); },
          [this](bool is_last) { go_unanswered(is_last); }) {
  round_trips_s_.reserve(kRoundTrips);
}

std::optional<Failure> ClientCore::verdict() const {
  if (!has_verdict_.load(std::memory_order_acquire)) return std::nullopt;
  const std::lock_guard lock(mutex_);
  return verdict_;
}

void ClientCore::set_news(const RunNews& news) {
  const std::lock_guard lock(mutex_);
  news_ = news;
}

void ClientCore::set_outcome(const Failure& outcome) {
  const std::lock_guard lock(mutex_);
  outcome_ = outcome;
}

void ClientCore::begin() {
  progress_s_ = heard_s_ = steady_s();
  call_.start();
  tick_due_s_ = heard_s_;
  tick();
}

void ClientCore::join(std::shared_ptr<FrameChannel> channel, const Welcome& welcome) {
  if (line_ == Line::over) return channel->close();
  channel_ = std::move(channel);
  channel_->hand_over(*this, options_.rank, kMostBodyBytes);
  line_ = Line::joined;
  service_host_ = welcome.host;
  heard_s_ = steady_s();
  if (about_) channel_->send(About{*about_});
  send_beat();
  if (said_unanswered_) note(fmt::format("{} reaches {} now, which watches it", own_name(), service_name()));
  if (called_) std::exchange(called_, {})();
  if (leaving_) say_good_bye(std::exchange(leaving_, {}));
}

void ClientCore::on_message(FrameChannel&, Message& message) {
  heard_s_ = steady_s();
  if (const auto* const pulse = std::get_if<Pulse>(&message)) {
    watchdog_s_.store(pulse->watchdog_timeout_s, std::memory_order_relaxed);
    measure_round_trip(*pulse);
  } else if (std::holds_alternative<Stop>(message)) {
    is_stop_asked_ = true;
    if (stop_) stop_();
  } else if (const auto* const gather = std::get_if<Gather>(&message)) {
    send_rings(gather->with_stacks);
  } else if (const auto* const end = std::get_if<End>(&message)) {
    decide({static_cast<ExitCode>(end->code), end->text}, true);
  } else if (const auto* const words = std::get_if<Note>(&message)) {
    note(words->text);
  } else if (std::holds_alternative<GoodBye>(message)) {
    line_ = Line::over;
    channel_->close();
  }
}

void ClientCore::on_end(FrameChannel&, ChannelEnd) {
  if (line_ == Line::over) return;
  line_ = Line::over;
  if (invitation_.by_supervisor) {
    go_without(fmt::format("{} is gone: its heartbeats' connection broke; the run goes on, watched by nobody",
                           service_name()));
    return;
  }
  const std::string what = doing(activity_.snapshot());
  decide({ExitCode::peer, fmt::format("{} is gone: its connection to {} broke{}{}", service_name(), own_name(),
                                      what.empty() ? "" : ", which was ", what)},
         false);
}

void ClientCore::tick() {
  const double now_s = steady_s();
  if (now_s > tick_due_s_ + kPaused_s) {
    heard_s_ = progress_s_ = now_s;
    if (end_due_s_ > 0) end_due_s_ = std::max(end_due_s_, now_s + 1);
  }
  const std::int64_t step = activity_.snapshot().step;
  if (line_ == Line::joined) {
    if (now_s >= beat_due_s_ || (step > 0 && step_told_ == 0)) send_beat();
    watch_service(now_s);
  }
  if (end_due_s_ > 0 && now_s >= end_due_s_) end_process();
  double next_s = line_ == Line::joined ? std::max(beat_due_s_ - now_s, 0.001) : options_.beat_s;
  if (step_told_ == 0) next_s = std::min(next_s, kQuickTick_s);
  if (end_due_s_ > 0) next_s = std::min(next_s, std::max(end_due_s_ - now_s, 0.001));
  tick_due_s_ = now_s + next_s;
  tick_timer_.expires_after(in_ns(next_s));
  tick_timer_.async_wait([this](const boost::system::error_code& ended) {
    if (!ended) tick();
  });
}

void ClientCore::send_beat() {
  const std::int64_t now_ns = steady_ns();
  const ActivitySnapshot activity = activity_.snapshot();
  channel_->send(Beat{now_ns, activity, round_trip_s_, threads_, shards_});
  step_told_ = activity.step;
  beat_due_s_ = static_cast<double>(now_ns) * 1e-9 + options_.beat_s;
  if (options_.rank != 0) return;
  std::optional<RunNews> news;
  {
    const std::lock_guard lock(mutex_);
    news.swap(news_);
  }
  if (news) channel_->send(News{*news});
}

void ClientCore::send_rings(bool with_stacks) {
  // Beats first: nobody is called silent for the time that stacks take.
  send_beat();
  channel_->send(Rings{steady_ns(), activity_.ring(), with_stacks ? stacks_of_other_threads() : ""});
}

void ClientCore::measure_round_trip(const Pulse& pulse) {
  const double seconds = static_cast<double>(steady_ns() - pulse.sent_ns) * 1e-9;
  if (seconds < 0 || seconds > 3600) return;
  if (round_trips_s_.size() < kRoundTrips) {
    round_trips_s_.push_back(seconds);
  } else {
    round_trips_s_[next_round_trip_++ % kRoundTrips] = seconds;
  }
  std::array<double, kRoundTrips> sorted{};
  std::copy(round_trips_s_.begin(), round_trips_s_.end(), sorted.begin());
  round_trip_s_ = median_of(sorted.data(), round_trips_s_.size());
}

/// What a rank concludes when the service does not answer any more.
void ClientCore::watch_service(double now_s) {
  const ActivitySnapshot activity = activity_.snapshot();
  if (activity.progress != progress_) {
    progress_ = activity.progress;
    progress_s_ = now_s;
  }
  const double silent_s = now_s - heard_s_;
  if (silent_s < options_.service_silence_s) {
    said_unheard_ = false;
    return;
  }
  const std::string what = doing(activity);
  if (!invitation_.by_supervisor) {
    decide({ExitCode::peer, fmt::format("{} has said nothing to {} for {}{}{}", service_name(), own_name(),
                                        duration_text(silent_s), what.empty() ? "" : ", which is ", what)},
           false);
    return;
  }
  if (!said_unheard_) {
    said_unheard_ = true;
    note(fmt::format("{} has said nothing to {} for {}; the run goes on", service_name(), own_name(),
                     duration_text(silent_s)));
  }
  const double stalled_s = now_s - progress_s_;
  if (activity.phase == Phase::unwatched || watchdog_timeout_s() <= 0) return;
  // Ranks are in a phase together, so that the own one tells whether one that is waited for may be slow. A rank beyond
  // a link that is cut must not hold its host until the deadline of its call (comm.timeout_s).
  if (stalled_s < patience_s(activity.phase, activity.times.steps > 0, watchdog_timeout_s())) return;
  decide({ExitCode::peer, fmt::format("{} gets no further: no progress for {}{}{}, and {} has said nothing for {}",
                                      own_name(), duration_text(stalled_s), what.empty() ? "" : ", ", what,
                                      service_name(), duration_text(silent_s))},
         false);
}

/// The rank goes on, and the call too.
void ClientCore::go_unanswered(bool is_last) {
  if (line_ == Line::over) return;
  const std::string where =
      fmt::format("{} over TCP ({}, port {}", service_name(), fmt::join(invitation_.addresses, ", "), invitation_.port);
  if (is_last || leaving_)
    return go_without(fmt::format("{} has not reached {}); it tries no more", own_name(), where));
  if (called_) std::exchange(called_, {})();
  if (std::exchange(said_unanswered_, true)) return;
  note(
      fmt::format("{} does not reach {}; is there a firewall?): until it does nobody watches it; what is lost is "
                  "noticed at the deadline (comm.timeout_s) only",
                  own_name(), where));
}

void ClientCore::go_without(const std::string& why) {
  line_ = Line::over;
  channel_.reset();
  if (called_) std::exchange(called_, {})();
  if (leaving_) return std::exchange(leaving_, {})();
  note(why);
}

void ClientCore::decide(const Failure& failure, bool told_to_all) {
  if (has_verdict_.load(std::memory_order_relaxed)) return;
  {
    const std::lock_guard lock(mutex_);
    verdict_ = failure;
  }
  is_told_to_all_.store(told_to_all, std::memory_order_release);
  has_verdict_.store(true, std::memory_order_release);
  end_due_s_ = steady_s() + options_.end_time_s;
  tick_timer_.cancel();
  tick_due_s_ = steady_s();
  tick();
}

/// The threads of the process have not got there themselves. Writing may hang, where a disk or a terminal does.
void ClientCore::end_process() {
  end_due_s_ = 0;
  const Failure failure = *verdict();
  run_errand(
      [text = "athanor: " + failure.message + "\n"] {
        if (write(STDERR_FILENO, text.data(), text.size()) < 0) return;
      },
      kLastWordsTime_s);
  _exit(static_cast<int>(failure.code));
}

void ClientCore::note(const std::string& text) {
  if (note_) {
    note_(text);
  } else if (early_notes_.size() < kMostEarlyNotes) {
    early_notes_.push_back(text);
  }
}

void ClientCore::on_called(std::function<void()> done) {
  if (line_ != Line::calling || said_unanswered_) return done();
  called_ = std::move(done);
}

void ClientCore::set_about(const RunAbout& about) {
  about_ = about;
  if (line_ == Line::joined) channel_->send(About{about});
}

void ClientCore::set_crew(int threads, int shards) {
  threads_ = threads;
  shards_ = shards;
}

void ClientCore::on_stop(std::function<void()> stop) {
  stop_ = std::move(stop);
  if (is_stop_asked_ && stop_) stop_();
}

void ClientCore::on_note(std::function<void(const std::string&)> note) {
  note_ = std::move(note);
  for (const std::string& early : early_notes_) note_(early);
  early_notes_.clear();
}

void ClientCore::say_good_bye(std::function<void()> done) {
  end_due_s_ = 0;
  if (line_ == Line::calling && !is_silent_.load(std::memory_order_acquire)) {
    // What is over in an instant, a recipe that cannot be read, is to be known too.
    leaving_ = std::move(done);
    return call_.hurry();
  }
  if (line_ == Line::joined && !is_silent_.load(std::memory_order_acquire)) {
    Failure outcome;
    {
      const std::lock_guard lock(mutex_);
      outcome = outcome_;
    }
    send_beat();
    // The kernel sends what it has taken, also after the process has ended.
    channel_->send(GoodBye{static_cast<std::int32_t>(outcome.code), outcome.message});
  }
  line_ = Line::over;
  done();
}

std::string ClientCore::own_name() const {
  RankPicture self;
  self.rank = options_.rank;
  self.host = options_.host;
  return name_of(self);
}

std::string ClientCore::service_name() const {
  const std::string where = service_host_.empty() ? "" : " on " + service_host_;
  return (invitation_.by_supervisor ? "the supervisor" : "rank 0") + where;
}

}  // namespace athanor::watch
