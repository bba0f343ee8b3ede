// How ranks of different hosts learn that one of them is gone: a TCP connection from each rank to rank 0 on which
// nothing is said but a good-bye. The kernel closes it when a process dies, and notices within seconds when a host
// does. Rank 0 passes on who is gone. Nothing here depends on MPI, which may be what hangs.
#pragma once

#include <memory>

#include "comm/communicator.h"

namespace athanor {

class LifeLines {
 public:
  /// Collective: rank 0's addresses and a random key travel through `world`. A rank that cannot reach rank 0 goes
  /// without (deadlines still hold); it says so once.
  explicit LifeLines(Communicator& world);
  /// Says good-bye.
  ~LifeLines();
  LifeLines(const LifeLines&) = delete;
  LifeLines& operator=(const LifeLines&) = delete;

  /// A rank whose line broke without a good-bye, or −1. Never waits. Thread-safe.
  int find_gone();
  /// From here on the process ends without a good-bye: the others are to know.
  void keep_silent();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace athanor
