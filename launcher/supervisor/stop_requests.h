// Requests to the supervisor: SIGUSR2, SIGTERM and SIGINT ask that the ranks save and leave; a second SIGINT ends all
// at once.
#pragma once

#include <boost/asio/signal_set.hpp>
#include <chrono>
#include <string>

namespace athanor {

class StopRequests {
 public:
  /// Handles the signals while it lives. `say`: what a person should read about it.
  StopRequests(boost::asio::io_context& io, std::function<void(const std::string&)> say);

  bool asked() const { return asked_; }
  bool at_once() const { return at_once_; }
  /// Whether it was SIGINT that asked.
  bool by_interrupt() const { return by_interrupt_; }

 private:
  void wait();
  void on_signal(int signal);

  boost::asio::signal_set signals_;
  std::function<void(const std::string&)> say_;
  bool asked_ = false, at_once_ = false, by_interrupt_ = false;
  std::chrono::steady_clock::time_point interrupted_;
};

}  // namespace athanor
