// The steady clock, in the forms in which the heartbeats use it.
#pragma once

#include <chrono>
#include <cstdint>

namespace athanor::watch {

inline std::int64_t steady_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}
inline double steady_s() {
  return static_cast<double>(steady_ns()) * 1e-9;
}
inline std::chrono::nanoseconds in_ns(double seconds) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
}

}  // namespace athanor::watch
