// Threads that no signal of the process is delivered to: its handlers run on the threads that know of them.
#pragma once

#include <csignal>
#include <thread>
#include <utility>

namespace athanor::watch {

template <typename Act>
std::thread quiet_thread(Act&& act) {
  sigset_t all, before;
  sigfillset(&all);
  // What the thread does wrong itself must still end the process.
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&all, fault);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  struct Restore {
    const sigset_t& mask;
    ~Restore() { pthread_sigmask(SIG_SETMASK, &mask, nullptr); }
  } restore{before};
  return std::thread(std::forward<Act>(act));
}

}  // namespace athanor::watch
