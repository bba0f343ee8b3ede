// The name of this machine, for messages and provenance.
#pragma once

#include <string>

namespace athanor {

/// What gethostname says; "localhost" where it says nothing.
std::string host_name();

}  // namespace athanor
