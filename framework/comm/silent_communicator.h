// A rank of a group in which nothing is sent: what a step costs without its communication. For measurements; what is
// computed from what never came is meaningless.
#pragma once

#include "comm/communicator.h"

namespace athanor {

/// Claims `like`'s rank and size.
std::unique_ptr<Communicator> make_silent_communicator(const Communicator& like);

}  // namespace athanor
