// A thread that is made before anything hangs, for what may hang: the names of a stack, last words. To make one when it
// is needed may be too late: that waits for the dynamic linker, which may be stuck on a dead disk.
#pragma once

#include <functional>

namespace athanor::watch {

/// Makes the thread of this process, once.
void prepare_errands();

/// Whether `act` ended on that thread within `wait_s`. One that hangs keeps the thread: later ones are not begun.
bool run_errand(std::function<void()> act, double wait_s);

/// The thread's number, which the kernel knows it by; 0: none was made.
int errand_thread();

}  // namespace athanor::watch
