#include "train/phases.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <exception>
#include <thread>

#include "watch/heartbeat_client.h"

namespace athanor {
namespace {

template <ExitCode kCode>
class SharedErrorOf final : public ErrorOf<kCode>, public OnAllRanks {
 public:
  explicit SharedErrorOf(const std::string& message) : ErrorOf<kCode>(message) {}
};

constexpr std::chrono::seconds kTimeToTell{2};

/// As one text to gather: "3 cannot read …"; "0 " where nothing failed.
std::string text_of(const Failure& failure) {
  return fmt::format("{} {}", static_cast<int>(failure.code), failure.message);
}

Failure failure_of(const std::string& text) {
  int code = 0;
  const char* const end = text.data() + text.size();
  const char* const space = std::from_chars(text.data(), end, code).ptr;
  return {static_cast<ExitCode>(code), space == end ? "" : std::string(space + 1, end)};
}

Failure try_out(const std::function<void()>& act) {
  try {
    act();
  } catch (const PeerError&) {
    throw;  // nobody is left to agree with
  } catch (...) {
    return current_failure();
  }
  return {};
}

}  // namespace

void throw_on_all_ranks(const Failure& failure) {
  switch (failure.code) {
    case ExitCode::usage:
      throw SharedErrorOf<ExitCode::usage>(failure.message);
    case ExitCode::data:
      throw SharedErrorOf<ExitCode::data>(failure.message);
    case ExitCode::storage:
      throw SharedErrorOf<ExitCode::storage>(failure.message);
    case ExitCode::peer:
      throw SharedErrorOf<ExitCode::peer>(failure.message);
    case ExitCode::numerics:
      throw SharedErrorOf<ExitCode::numerics>(failure.message);
    case ExitCode::interrupted:
      throw SharedErrorOf<ExitCode::interrupted>(failure.message);
    default:
      throw SharedErrorOf<ExitCode::device>(failure.message);
  }
}

void agree_on(Communicator& communicator, const char* phase, const std::function<void()>& act) {
  if (communicator.size() == 1) return act();
  const std::vector<std::string> texts = gather_texts(communicator, text_of(try_out(act)), phase);
  for (std::size_t rank = 0; rank < texts.size(); ++rank) {
    Failure failure = failure_of(texts[rank]);
    if (failure.code == ExitCode::done) continue;
    const bool alike =
        std::all_of(texts.begin(), texts.end(), [&](const std::string& text) { return text == texts[0]; });
    if (!alike) failure.message = fmt::format("{}: {}", communicator.name_of(static_cast<int>(rank)), failure.message);
    throw_on_all_ranks(failure);
  }
}

void first_does(Communicator& communicator, const char* phase, const std::function<void()>& act) {
  if (communicator.size() == 1) return act();
  const std::string own = communicator.rank() == 0 ? text_of(try_out(act)) : "";
  const Failure failure = failure_of(broadcast_text(communicator, own, 0, phase));
  if (failure.code != ExitCode::done) throw_on_all_ranks(failure);
}

void want_alike(Communicator& communicator, const std::string& text, const char* what) {
  const std::vector<std::string> texts = gather_texts(communicator, text, what);
  const auto other = std::find_if(texts.begin(), texts.end(), [&](const std::string& its) { return its != texts[0]; });
  if (other == texts.end()) return;
  throw_on_all_ranks({ExitCode::usage, fmt::format("{} was started with another {} than rank 0: '{}' instead of '{}'; "
                                                   "give all ranks the same",
                                                   communicator.name_of(static_cast<int>(other - texts.begin())), what,
                                                   *other, texts[0])});
}

void set_outcome(Communicator& communicator, const Failure& outcome) {
  if (watch::HeartbeatClient* const heartbeats = communicator.heartbeats()) heartbeats->set_outcome(outcome);
}

void end_together(Communicator& communicator, const std::function<void()>& act, const TellFailure& tell) {
  if (communicator.size() == 1) return act();
  try {
    act();
  } catch (const OnAllRanks&) {
    throw;
  } catch (const ToldElsewhere& error) {
    set_outcome(communicator, {error.code(), error.what()});
    // Whoever leaves first ends all: the rank that says why is to be the one.
    std::this_thread::sleep_for(kTimeToTell);
    communicator.leave(error.code());
  } catch (...) {
    Failure failure = current_failure();
    failure.message = fmt::format("{}: {}", communicator.name_of(communicator.rank()), failure.message);
    set_outcome(communicator, failure);
    tell(failure);
    communicator.leave(failure.code);
  }
}

}  // namespace athanor
