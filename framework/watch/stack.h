// What the threads of this process are in the middle of, for the report of a stall.
#pragma once

#include <string>

namespace athanor::watch {

/// Makes stacks possible: once, before anything hangs. What is called in a signal handler later is loaded now.
void prepare_stacks();

/// The stacks of the other threads of this process, the first thread's first, at most `most_threads`: each stops for an
/// instant, in a signal handler. One that does not answer within `wait_s` is told with what the kernel says of it.
/// Takes most_threads · wait_s and half a second for the names at most. One thread at a time may ask.
std::string stacks_of_other_threads(int most_threads = 8, double wait_s = 0.1);

}  // namespace athanor::watch
