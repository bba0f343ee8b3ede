// Two ranks: one waits for a message that the other never sends, and has to end at its deadline.
#include <unistd.h>

#include <cstdio>

#include "comm/communicator.h"

int main() {
  const std::unique_ptr<athanor::Communicator> world = athanor::make_communicator();
  if (world->rank() == 1) {
    // Until the other one ends the job.
    while (true) pause();
  }
  world->set_timeout(0.3);
  char byte = 0;
  const athanor::ReceivePart part{1, &byte, 1};
  try {
    world->exchange({}, {&part, 1}, "lonely call");
  } catch (const athanor::PeerError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    world->leave(error.code());
  }
  return 0;
}
