#include "watch/service_call.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/address_v4.hpp>
#include <chrono>

#include "watch/clock.h"

namespace athanor::watch {
namespace {

/// One address gets this long, so that one that nobody answers at does not use up the time of the others.
constexpr double kAddressTime_s = 1;
/// Whoever takes the call answers within this time, or is another program.
constexpr double kWelcomeTime_s = 2;
constexpr double kLongestPause_s = 30;
/// About an hour of them.
constexpr int kMostLateRounds = 128;

}  // namespace

ServiceCall::ServiceCall(boost::asio::io_context& context, const Invitation& invitation, const ClientOptions& options,
                         Welcomed welcomed, Unanswered unanswered)
    : context_(context),
      timer_(context),
      invitation_(invitation),
      options_(options),
      welcomed_(std::move(welcomed)),
      unanswered_(std::move(unanswered)),
      pause_s_(std::min(0.1, options.connect_time_s / 10)) {}

void ServiceCall::start() {
  until_s_ = steady_s() + options_.connect_time_s;
  try_address();
}

void ServiceCall::hurry() {
  if (is_pausing_) try_address();
}

void ServiceCall::at(double seconds, std::function<void()> act) {
  timer_.expires_after(in_ns(seconds));
  timer_.async_wait([this, number = ++timers_, act = std::move(act)](const boost::system::error_code& ended) {
    if (!ended && number == timers_) act();
  });
}

void ServiceCall::try_address() {
  is_pausing_ = false;
  const double left_s = is_late_ ? kAddressTime_s : std::max(until_s_ - steady_s(), 0.0);
  boost::system::error_code error;
  const std::string& address = invitation_.addresses[next_ % invitation_.addresses.size()];
  const Tcp::endpoint place(boost::asio::ip::make_address_v4(address, error), invitation_.port);
  connecting_ = std::make_shared<Tcp::socket>(context_);
  connecting_->async_connect(place, [this, socket = connecting_](const boost::system::error_code& failed) {
    // One that took too long was given up, and another is tried.
    if (socket != connecting_) return;
    connecting_.reset();
    if (failed) return next();
    say_hello(std::move(*socket));
  });
  at(std::min(kAddressTime_s, left_s), [this] {
    boost::system::error_code ignored;
    std::exchange(connecting_, nullptr)->close(ignored);
    next();
  });
}

void ServiceCall::say_hello(Tcp::socket socket) {
  channel_ = std::make_shared<FrameChannel>(std::move(socket), *this);
  channel_->start();
  channel_->send(Hello{invitation_.key, options_.rank, options_.world_size, getpid(), options_.host, options_.cpus});
  at(kWelcomeTime_s, [this] {
    channel_->close();
    next();
  });
}

/// After a pause when all have been tried: the service may be busy with other callers.
void ServiceCall::next() {
  channel_.reset();
  const bool is_round_over = ++next_ % invitation_.addresses.size() == 0;
  const bool becomes_late = !is_late_ && steady_s() >= until_s_;
  is_late_ = is_late_ || becomes_late;
  if (!is_late_ || !(is_round_over || becomes_late)) {
    return at(is_round_over ? pause_s_ : 0, [this] { try_address(); });
  }
  const bool is_last = ++late_rounds_ > kMostLateRounds;
  if (!is_last) {
    pause_s_ = std::min(2 * pause_s_, kLongestPause_s);
    is_pausing_ = true;
    at(pause_s_, [this] { try_address(); });
  }
  unanswered_(is_last);
}

void ServiceCall::on_message(FrameChannel&, Message& message) {
  const Welcome* const welcome = std::get_if<Welcome>(&message);
  if (welcome == nullptr) return;
  timer_.cancel();
  ++timers_;
  welcomed_(std::exchange(channel_, nullptr), *welcome);
}

void ServiceCall::on_end(FrameChannel&, ChannelEnd) {
  next();
}

}  // namespace athanor::watch
