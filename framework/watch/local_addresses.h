// Where this host can be called.
#pragma once

#include <string>
#include <vector>

namespace athanor::watch {

/// IPv4 addresses of this host that others may reach, at most 16; the loopback where there is no other.
std::vector<std::string> local_addresses();

}  // namespace athanor::watch
