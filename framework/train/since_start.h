// How long this process has been running.
#pragma once

namespace athanor {

/// Seconds since the kernel started the process, so that loading the program counts too; to a hundredth. 0 where /proc
/// does not say.
double seconds_since_start();

}  // namespace athanor
