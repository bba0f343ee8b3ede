// What a step that runs as one graph tells the host while it runs and afterwards: how far it has come, and when.
#pragma once

#include <cstdint>

namespace athanor::kernels::cuda {

/// Stores *counter, one more with `advance`, at `target` in mapped host memory: since replays of a graph cannot be
/// given numbers, they count by themselves.
struct StoreSequence {
  std::int64_t* counter = nullptr;
  std::int64_t* target = nullptr;
  bool advance = false;
};

/// Seconds from *since (nanoseconds) until now to *elapsed; the time to *now. Each may be null.
struct StampTime {
  const std::int64_t* since = nullptr;
  float* elapsed = nullptr;
  std::int64_t* now = nullptr;
};

}  // namespace athanor::kernels::cuda
