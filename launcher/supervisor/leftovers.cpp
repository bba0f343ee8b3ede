#include "launcher/supervisor/leftovers.h"

#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <string_view>

#include "base/text_file.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;

/// Whether a variable of an environment (as /proc has it: each ended by NUL) begins like that.
bool has_variable(const std::string& environment, const std::string& begin) {
  return environment.starts_with(begin) || environment.find('\0' + begin) != std::string::npos;
}

/// A zombie has no environment.
bool is_invited(const std::string& environment, const std::string& invitation) {
  return has_variable(environment, "ATHANOR_HEARTBEAT=" + invitation + '\0');
}

/// Launchers know the invitation too, and so do the agents by which they reach other hosts, but those have no rank.
bool has_rank(const std::string& environment) {
  return has_variable(environment, "OMPI_COMM_WORLD_RANK=") || has_variable(environment, "PMIX_RANK=");
}

fs::path network_of(const std::string& process) {
  std::error_code ignored;
  return fs::read_symlink("/proc/" + process + "/ns/net", ignored);
}

std::vector<pid_t> find_processes(const std::string& invitation, bool ranks_only) {
  std::vector<pid_t> pids;
  const fs::path own_network = network_of("self");
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename().string();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size() || pid == getpid()) continue;
    const std::string environment = read_text(entry.path() / "environ");
    if (!is_invited(environment, invitation) || (ranks_only && !has_rank(environment))) continue;
    if (network_of(name) == own_network) pids.push_back(pid);
  }
  return pids;
}

}  // namespace

std::vector<pid_t> ranks_here(const std::string& invitation) {
  return find_processes(invitation, true);
}

std::vector<pid_t> processes_here(const std::string& invitation) {
  return find_processes(invitation, false);
}

}  // namespace athanor
