// Which ranks run where, on which cpus and with how many threads, as lines for people, and what is wrong with it.
#pragma once

#include <string>
#include <vector>

#include "watch/job_picture.h"

namespace athanor {

/// "node1: ranks 0-3 on cpus 0-7, 2 threads each", a line a host.
std::vector<std::string> binding_map(const watch::JobPicture& picture);

/// A line for each host whose ranks compute with more threads than they have cpus.
std::vector<std::string> binding_warnings(const watch::JobPicture& picture);

}  // namespace athanor
