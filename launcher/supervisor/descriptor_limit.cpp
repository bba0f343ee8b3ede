#include "launcher/supervisor/descriptor_limit.h"

#include <algorithm>

namespace athanor {

const rlimit& first_descriptor_limit() {
  static const rlimit first = [] {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit;
  }();
  return first;
}

void raise_descriptor_limit() {
  // As many ranks as -n takes, and some. Where all is allowed it may be a thousand million.
  constexpr rlim_t kMost = 1 << 17;
  rlimit raised = first_descriptor_limit();
  raised.rlim_cur = std::max(raised.rlim_cur, std::min(raised.rlim_max, kMost));
  setrlimit(RLIMIT_NOFILE, &raised);
}

}  // namespace athanor
