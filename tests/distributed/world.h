// The ranks of a test program that mpirun has started: made once, before the first test.
#pragma once

#include "comm/communicator.h"

namespace athanor::distributed_test {

/// Every rank runs the same tests in the same order, so that they meet in collectives.
Communicator& world();

}  // namespace athanor::distributed_test
