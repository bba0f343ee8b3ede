#include "launcher/supervisor/leftovers.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>

#include "base/text_file.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;

/// A zombie's environment is empty.
bool has_variable(pid_t pid, const std::string& variable) {
  const std::string environment = read_text(fs::path("/proc") / std::to_string(pid) / "environ");
  const std::string wanted = variable + '\0';
  return environment.starts_with(wanted) || environment.find('\0' + wanted) != std::string::npos;
}

fs::path network_of(const std::string& process) {
  std::error_code ignored;
  return fs::read_symlink("/proc/" + process + "/ns/net", ignored);
}

}  // namespace

std::vector<pid_t> ranks_here(const std::string& invitation, pid_t launcher) {
  std::vector<pid_t> pids;
  const fs::path own_network = network_of("self");
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename().string();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size() || pid == launcher || pid == getpid()) continue;
    if (has_variable(pid, "ATHANOR_HEARTBEAT=" + invitation) && network_of(name) == own_network) pids.push_back(pid);
  }
  return pids;
}

std::vector<pid_t> still_running(const std::vector<pid_t>& pids, const std::string& invitation) {
  std::vector<pid_t> running;
  std::copy_if(pids.begin(), pids.end(), std::back_inserter(running),
               [&](pid_t pid) { return has_variable(pid, "ATHANOR_HEARTBEAT=" + invitation); });
  return running;
}

}  // namespace athanor
