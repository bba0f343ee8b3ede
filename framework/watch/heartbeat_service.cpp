#include "watch/heartbeat_service.h"

#include <atomic>
#include <boost/asio/post.hpp>
#include <thread>

#include "watch/local_addresses.h"
#include "watch/quiet_thread.h"
#include "watch/service_core.h"

namespace athanor::watch {
namespace {

/// For the good-byes of a service that ends.
constexpr std::chrono::milliseconds kGoodByeTime{300};
/// With many ranks, beats that come within this time are handled together: to wake up for each costs more than it.
constexpr int kManyRanks = 256;
constexpr std::chrono::milliseconds kNap{4};

}  // namespace

struct HeartbeatService::State {
  State(const ServiceOptions& options, std::function<void(const Event&)> on_event)
      : core(context, options, std::move(on_event)), is_large(options.world_size > kManyRanks) {
    invitation = {core.key(), core.port(), local_addresses(), options.by_supervisor};
  }

  void run() {
    core.begin();
    while (!context.stopped()) {
      context.run_one();
      context.poll();
      if (is_large && core.are_all_here() && !context.stopped()) std::this_thread::sleep_for(kNap);
    }
    const auto until = std::chrono::steady_clock::now() + kGoodByeTime;
    context.restart();
    core.say_good_bye();
    while (!core.is_sent() && std::chrono::steady_clock::now() < until) {
      context.run_one_for(std::chrono::milliseconds(10));
    }
  }

  boost::asio::io_context context{1};
  ServiceCore core;
  const bool is_large;
  Invitation invitation;
  std::thread thread;
};

HeartbeatService::HeartbeatService(const ServiceOptions& options, std::function<void(const Event&)> on_event)
    : state_(std::make_unique<State>(options, std::move(on_event))) {
  state_->thread = quiet_thread([state = state_.get()] { state->run(); });
}

HeartbeatService::~HeartbeatService() {
  state_->context.stop();
  state_->thread.join();
}

Invitation HeartbeatService::invitation() const {
  return state_->invitation;
}

JobPicture HeartbeatService::picture() const {
  return state_->core.picture();
}

void HeartbeatService::request_stop() {
  boost::asio::post(state_->context, [state = state_.get()] { state->core.request_stop(); });
}

void HeartbeatService::end_job(ExitCode code, const std::string& why) {
  boost::asio::post(state_->context, [state = state_.get(), code, why] { state->core.end_job(code, why); });
}

std::uint64_t HeartbeatService::beats() const {
  return state_->core.beats();
}

double HeartbeatService::cpu_seconds() const {
  return cpu_seconds_of(state_->thread);
}

}  // namespace athanor::watch
