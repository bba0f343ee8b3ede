// The logical cpus that a process may use, and how they are written.
#pragma once

#include <string>
#include <vector>

namespace athanor {

/// Logical cpus that the scheduler lets this process use, ascending.
std::vector<int> allowed_cpu_ids();

/// "0-3,8" for {0, 1, 2, 3, 8}.
std::string cpu_list_text(const std::vector<int>& cpus);

}  // namespace athanor
