// The processes of a job, as /proc knows them: what a test kills, and what must not be left.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <vector>

namespace athanor::mpirun_test {

/// Those that run in that folder.
std::vector<pid_t> processes_in(const std::filesystem::path& home);
std::vector<pid_t> children_of(pid_t parent);
/// Waits until none is left there; false: a minute was not enough.
bool wait_until_none_is_in(const std::filesystem::path& home);
bool wait_for_end_of(pid_t process);

}  // namespace athanor::mpirun_test
