#include "mpirun/processes.h"

#include <chrono>
#include <functional>
#include <sstream>
#include <thread>

#include "mpirun/job.h"

namespace athanor::mpirun_test {
namespace {

std::vector<pid_t> all_processes() {
  std::vector<pid_t> pids;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") == std::string::npos) pids.push_back(std::stoi(name));
  }
  return pids;
}

bool wait_for(const std::function<bool()>& happened) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kDeadline_ms);
  while (!happened()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace

std::vector<pid_t> processes_in(const fs::path& home) {
  std::vector<pid_t> found;
  for (const pid_t pid : all_processes()) {
    std::error_code ignored;
    if (fs::read_symlink("/proc/" + std::to_string(pid) + "/cwd", ignored) == home) found.push_back(pid);
  }
  return found;
}

std::vector<pid_t> children_of(pid_t parent) {
  const std::string name = std::to_string(parent);
  std::istringstream words(read_file("/proc/" + name + "/task/" + name + "/children"));
  std::vector<pid_t> children;
  for (pid_t pid = 0; words >> pid;) children.push_back(pid);
  return children;
}

bool wait_until_none_is_in(const fs::path& home) {
  return wait_for([&] { return processes_in(home).empty(); });
}

bool wait_for_end_of(pid_t process) {
  // A zombie has no environment any more.
  return wait_for([&] { return read_file("/proc/" + std::to_string(process) + "/environ").empty(); });
}

}  // namespace athanor::mpirun_test
