#include "comm/peer_watch.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace athanor {
namespace {

struct ProcessState {
  char state = 0;  ///< 'R', 'S', 'Z', …; 0: there is no such process; '?': the kernel does not say
  std::uint64_t start_ticks = 0;
};

/// The third and the 22nd field of /proc/PID/stat; the second may hold anything, but ends at the last ')'.
ProcessState read_state(std::int64_t pid) {
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/%lld/stat", static_cast<long long>(pid));
  const int file = open(path.data(), O_RDONLY | O_CLOEXEC);
  // Out of descriptors, say: that is not the other one's death.
  if (file < 0) return {.state = errno == ENOENT || errno == ESRCH ? '\0' : '?', .start_ticks = 0};
  std::array<char, 1024> text{};
  const ssize_t got = read(file, text.data(), text.size() - 1);
  close(file);
  if (got < 0 && errno == ESRCH) return {};
  const char* at = got <= 0 ? nullptr : std::strrchr(text.data(), ')');
  if (at == nullptr || at[1] == '\0') return {.state = '?', .start_ticks = 0};
  ProcessState found{.state = at[2], .start_ticks = 0};
  at += 2;
  for (int field = 3; field < 22 && at != nullptr; ++field) {
    at = std::strchr(at, ' ');
    if (at != nullptr) ++at;
  }
  if (at != nullptr) found.start_ticks = std::strtoull(at, nullptr, 10);
  return found;
}

}  // namespace

ProcessId this_process() {
  const std::int64_t pid = getpid();
  return {pid, read_state(pid).start_ticks};
}

bool is_visible(const ProcessId& id) {
  const ProcessState state = read_state(id.pid);
  return state.state != 0 && state.state != '?' && id.start_ticks != 0 && state.start_ticks == id.start_ticks;
}

bool is_dead(const ProcessId& id) {
  const ProcessState state = read_state(id.pid);
  if (state.state == '?') return false;
  return state.state == 0 || state.state == 'Z' || state.state == 'X' || state.start_ticks != id.start_ticks;
}

}  // namespace athanor
