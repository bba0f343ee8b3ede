#include "launcher/supervisor/stop_requests.h"

#include <csignal>

namespace athanor {
namespace {

/// What follows an interrupt this soon is the same key press, delivered by both a terminal and a scheduler.
constexpr std::chrono::milliseconds kSameKeyPress{200};

}  // namespace

StopRequests::StopRequests(boost::asio::io_context& io, std::function<void(const std::string&)> say)
    : signals_(io, SIGINT, SIGTERM, SIGUSR2), say_(std::move(say)) {
  wait();
}

void StopRequests::wait() {
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    on_signal(signal);
    wait();
  });
}

void StopRequests::on_signal(int signal) {
  const auto now = std::chrono::steady_clock::now();
  if (signal == SIGINT && by_interrupt_ && now - interrupted_ > kSameKeyPress) {
    if (!at_once_) say_("interrupted again: ending everything now");
    at_once_ = true;
    return;
  }
  if (signal == SIGINT) {
    if (!by_interrupt_) interrupted_ = now;
    by_interrupt_ = true;
  }
  if (!asked_) {
    say_(std::string(signal == SIGINT    ? "SIGINT"
                     : signal == SIGTERM ? "SIGTERM"
                                         : "SIGUSR2") +
         ": the ranks are asked to save and leave" + (signal == SIGINT ? "; once more ends them without saving" : ""));
  }
  asked_ = true;
}

}  // namespace athanor
