// How the supervisor waits: one thread, one io_context, and conditions that are looked at again after every handler.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>

namespace athanor {

using SteadyTime = std::chrono::steady_clock::time_point;

inline std::chrono::nanoseconds in_seconds(double seconds) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
}
inline SteadyTime after_seconds(double seconds) {
  return std::chrono::steady_clock::now() + in_seconds(seconds);
}
/// Of the steady clock.
inline double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
inline double seconds_since(SteadyTime start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Runs the handlers of `io` until `happened()`, which is asked after each and every `look_s`; false: `until` came
/// first.
template <typename Happened>
bool wait_until(boost::asio::io_context& io, SteadyTime until, Happened&& happened, double look_s = 0.1) {
  const auto work = boost::asio::make_work_guard(io);
  while (!happened()) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (now >= until) return false;
    io.restart();
    io.run_one_until(std::min(until, now + in_seconds(look_s)));
  }
  return true;
}

}  // namespace athanor
