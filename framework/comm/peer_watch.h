// Whether another process of this host still lives: how a rank that waits learns that it waits in vain, long before a
// deadline. Looks at /proc; says nothing about processes that it cannot see (other hosts, other containers).
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace athanor {

/// A process, told apart from a later one that got the same number.
struct ProcessId {
  std::int64_t pid = 0;
  std::uint64_t start_ticks = 0;  ///< since boot, as /proc/PID/stat says; 0: not known
};

ProcessId this_process();

/// Whether `id` is a process that can be seen from here and is alive.
bool is_visible(const ProcessId& id);
/// Whether a process that was visible is gone, or a zombie. Allocates nothing.
bool is_dead(const ProcessId& id);

}  // namespace athanor
