// How the service ends a job: what counts as the end of it, what is asked of the ranks before, what all are told.
#include <fmt/format.h>

#include <algorithm>

#include "watch/blame.h"
#include "watch/clock.h"
#include "watch/service_core.h"
#include "watch/stall_report.h"
#include "watch/wording.h"

namespace athanor::watch {
namespace {

/// From a rank's failure until the others, which should end by themselves, are ended.
constexpr double kFailedEnd_s = 5;
/// What a rank says of another one is believed after this time, when the other one has not been lost.
constexpr double kHearsay_s = 0.5;
/// Stacks fill a page each.
constexpr std::size_t kMostStacks = 8;

}  // namespace

void ServiceCore::on_good_bye(std::size_t rank, const GoodBye& good_bye) {
  peers_[rank].channel->close();
  {
    const std::lock_guard lock(mutex_);
    RankPicture& seen = picture_.ranks[rank];
    seen.presence = Presence::left;
    seen.exit_code = good_bye.code;
    seen.last_words = good_bye.words;
  }
  if (ending_ == Ending::gathering) count_answer(rank);
  if (good_bye.code == static_cast<int>(ExitCode::done) || good_bye.code == static_cast<int>(ExitCode::preempted))
    return;
  if (ending_ != Ending::no) return;
  ending_ = Ending::failed;
  const std::string text =
      fmt::format("{} failed{}{}", name_of(picture_.ranks[rank]), good_bye.words.empty() ? "" : ": ", good_bye.words);
  end_ = {good_bye.code, text};
  culprits_ = {static_cast<int>(rank)};
  // A rank that missed another one says so; the other one's connection tells more, and breaks about now.
  is_failure_told_ = good_bye.code != static_cast<int>(ExitCode::peer);
  if (is_failure_told_) event(EventKind::failed, culprits_, text);
  // The ranks end themselves. Where it is the process of this service that failed, there is no later.
  const bool is_own = rank == 0 && !options_.by_supervisor;
  after(end_timer_, is_own ? 0 : is_failure_told_ ? kFailedEnd_s : kHearsay_s, &ServiceCore::failed_for_long);
}

void ServiceCore::failed_for_long() {
  if (!is_failure_told_) {
    is_failure_told_ = true;
    event(EventKind::failed, culprits_, end_.text);
    const bool is_own = culprits_[0] == 0 && !options_.by_supervisor;
    if (!is_own) return after(end_timer_, kFailedEnd_s, &ServiceCore::failed_for_long);
  }
  tell_end(end_.code, end_.text);
}

void ServiceCore::lose(std::size_t rank, ChannelEnd how) {
  {
    const std::lock_guard lock(mutex_);
    RankPicture& seen = picture_.ranks[rank];
    // Ranks that were told to end, or know of a failure, do so in any way.
    const bool is_expected = ending_ == Ending::told || (ending_ == Ending::failed && is_failure_told_);
    seen.presence = is_expected ? Presence::left : Presence::lost;
  }
  const RankPicture& seen = picture_.ranks[rank];
  if (ending_ == Ending::gathering) return count_answer(rank);
  if (seen.presence == Presence::left) return;
  update_ages(steady_s());
  const std::string sentence = fmt::format(
      "{} is lost: {}{}", name_of(seen),
      how == ChannelEnd::closed || how == ChannelEnd::broken ? "its connection broke" : "it sent what is no heartbeat",
      when_last_heard(picture_, {static_cast<int>(rank)}, true));
  // What is gone cannot be asked, and the others only wait: they are told at once.
  culprits_ = {static_cast<int>(rank)};
  end_kind_ = EventKind::lost;
  gathered_.clear();
  report_and_end(sentence);
}

void ServiceCore::begin_end(const Finding& finding) {
  ending_ = Ending::gathering;
  end_kind_ = finding.kind == FindingKind::lost ? EventKind::lost : EventKind::stalled;
  culprits_ = finding.ranks;
  end_.text = finding.text;
  gathered_.assign(peers_.size(), std::nullopt);
  is_asked_.assign(peers_.size(), false);
  answers_missing_ = 0;
  std::size_t stacks = 0;
  for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
    if (picture_.ranks[rank].presence != Presence::connected) continue;
    const bool is_culprit =
        culprits_.empty() || std::find(culprits_.begin(), culprits_.end(), static_cast<int>(rank)) != culprits_.end();
    const bool with_stacks = is_culprit && stacks < kMostStacks;
    stacks += with_stacks ? 1 : 0;
    peers_[rank].channel->send(Gather{with_stacks});
    is_asked_[rank] = true;
    ++answers_missing_;
  }
  after(end_timer_, answers_missing_ > 0 ? options_.gather_time_s : 0, &ServiceCore::finish_gathering);
}

/// That of `rank` is there, or will never be.
void ServiceCore::count_answer(std::size_t rank) {
  if (!is_asked_[rank]) return;
  is_asked_[rank] = false;
  if (--answers_missing_ == 0) after(end_timer_, 0, &ServiceCore::finish_gathering);
}

void ServiceCore::finish_gathering() {
  std::string sentence = end_.text;
  if (end_kind_ == EventKind::stalled) {
    // The rings know more calls than the beats did, of several threads.
    const Blame blame = find_blame(picture_, known_calls(picture_, gathered_));
    if (!blame.ranks.empty() && blame.ranks != culprits_) {
      culprits_ = blame.ranks;
      sentence = fmt::format("the job makes no progress: {}", blame.text);
    }
  }
  report_and_end(sentence);
}

void ServiceCore::report_and_end(const std::string& sentence) {
  update_ages(steady_s());
  const std::string report = stall_report(picture_, culprits_, sentence, gathered_, end_kind_ == EventKind::stalled);
  gathered_.clear();
  event(end_kind_, culprits_, report);
  send_note(report);
  tell_end(static_cast<int>(ExitCode::peer), sentence);
}

void ServiceCore::tell_end(int code, const std::string& text) {
  if (ending_ == Ending::told) return;
  ending_ = Ending::told;
  end_ = {code, text};
  for (const Peer& peer : peers_) {
    if (peer.channel) peer.channel->send(end_);
  }
}

void ServiceCore::end_job(ExitCode code, const std::string& why) {
  end_timer_.cancel();
  tell_end(static_cast<int>(code), why);
}

}  // namespace athanor::watch
