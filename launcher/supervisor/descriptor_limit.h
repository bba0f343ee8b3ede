// How many descriptors this process may have open: the supervisor needs one for each rank, while what it starts gets
// what its user gave it.
#pragma once

#include <sys/resource.h>

namespace athanor {

/// RLIMIT_NOFILE as it was when this was first asked.
const rlimit& first_descriptor_limit();

/// Raises the limit as far as the hard one lets it, and useful it is.
void raise_descriptor_limit();

}  // namespace athanor
