#include "watch/heartbeat_client.h"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "watch/client_core.h"
#include "watch/clock.h"
#include "watch/quiet_thread.h"
#include "watch/stack.h"

namespace athanor::watch {
namespace {

/// For a good-bye; what cannot be sent by then is left.
constexpr std::chrono::milliseconds kSendTime{500};

}  // namespace

struct HeartbeatClient::State {
  State(const Invitation& invitation, const ClientOptions& options, const Activity& activity)
      : core(context, invitation, options, activity) {}

  /// Runs `act` on the client's thread, which calls the function that it gets when it is done; waits so long at most.
  void wait_for(std::chrono::nanoseconds time, const std::function<void(std::function<void()> done)>& act) {
    struct Answer {
      std::mutex mutex;
      std::condition_variable changed;
      bool is_there = false;
    };
    const auto answer = std::make_shared<Answer>();
    boost::asio::post(context, [act, answer] {
      act([answer] {
        const std::lock_guard lock(answer->mutex);
        answer->is_there = true;
        answer->changed.notify_one();
      });
    });
    std::unique_lock lock(answer->mutex);
    answer->changed.wait_for(lock, time, [&] { return answer->is_there; });
  }
  void say_good_bye() {
    wait_for(kSendTime, [this](std::function<void()> done) { core.say_good_bye(std::move(done)); });
  }

  boost::asio::io_context context{1};
  ClientCore core;
  std::thread thread;
};

HeartbeatClient::HeartbeatClient(const Invitation& invitation, const ClientOptions& options, const Activity& activity)
    : state_(std::make_unique<State>(invitation, options, activity)) {
  prepare_stacks();
  state_->thread = quiet_thread([state = state_.get()] {
    state->core.begin();
    const auto work = boost::asio::make_work_guard(state->context);
    state->context.run();
  });
  state_->wait_for(in_ns(options.connect_time_s),
                   [state = state_.get()](std::function<void()> done) { state->core.on_called(std::move(done)); });
}

HeartbeatClient::~HeartbeatClient() {
  state_->say_good_bye();
  state_->context.stop();
  state_->thread.join();
}

std::optional<Failure> HeartbeatClient::verdict() const {
  return state_->core.verdict();
}

bool HeartbeatClient::is_told_to_all() const {
  return state_->core.is_told_to_all();
}

double HeartbeatClient::watchdog_timeout_s() const {
  return state_->core.watchdog_timeout_s();
}

void HeartbeatClient::set_about(const RunAbout& about) {
  boost::asio::post(state_->context, [state = state_.get(), about] { state->core.set_about(about); });
}

void HeartbeatClient::set_news(const RunNews& news) {
  state_->core.set_news(news);
}

void HeartbeatClient::set_crew(int threads, int shards) {
  boost::asio::post(state_->context,
                    [state = state_.get(), threads, shards] { state->core.set_crew(threads, shards); });
}

void HeartbeatClient::on_stop(std::function<void()> stop) {
  boost::asio::post(state_->context, [state = state_.get(), stop = std::move(stop)] { state->core.on_stop(stop); });
}

void HeartbeatClient::on_note(std::function<void(const std::string&)> note) {
  boost::asio::post(state_->context, [state = state_.get(), note = std::move(note)] { state->core.on_note(note); });
}

double HeartbeatClient::cpu_seconds() const {
  return cpu_seconds_of(state_->thread);
}

void HeartbeatClient::set_outcome(const Failure& outcome) {
  state_->core.set_outcome(outcome);
}

void HeartbeatClient::say_good_bye() {
  state_->say_good_bye();
}

void HeartbeatClient::keep_silent() {
  state_->core.keep_silent();
}

}  // namespace athanor::watch
