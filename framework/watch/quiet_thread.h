// Threads that no signal of the process is delivered to: its handlers run on the threads that know of them.
#pragma once

#include <pthread.h>
#include <time.h>

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

/// Processor time that a thread has taken.
inline double cpu_seconds_of(std::thread& thread) {
  clockid_t clock{};
  timespec time{};
  if (pthread_getcpuclockid(thread.native_handle(), &clock) != 0 || clock_gettime(clock, &time) != 0) return 0;
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace athanor::watch
