#include "train/hardware.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <string_view>

#include "base/host_name.h"
#include "base/text_file.h"
#include "kernels/isa.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

/// The first number in `text`; nothing for "max" and for what cannot be read.
std::optional<std::uint64_t> leading_number(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  std::uint64_t value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc{}) return std::nullopt;
  return value;
}

/// What follows `key` where a line of `text` starts with it.
std::optional<std::string_view> after_key(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (line.starts_with(key)) return line.substr(key.size());
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return std::nullopt;
}

std::uint64_t number_after(std::string_view text, std::string_view key, std::uint64_t otherwise) {
  const auto rest = after_key(text, key);
  return rest ? leading_number(*rest).value_or(otherwise) : otherwise;
}

/// Calls `visit` with the folder of our control group and each of its parents, because a limit holds for all below it.
/// `controller` is "" for version 2 (one hierarchy, "0::/path") and a controller's name for version 1
/// ("4:memory:/path").
template <typename Visit>
void for_each_group(const fs::path& root, const std::string& controller, Visit visit) {
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
    if (names != ",," ? controller.empty() || names.find("," + controller + ",") == std::string::npos
                      : !controller.empty())
      continue;
    const fs::path mount = root / "sys/fs/cgroup" / controller;
    // Inside a container the path may be the host's, of which only the mount itself is visible here.
    fs::path below = fs::path(line.substr(second + 1)).relative_path();
    while (!below.empty()) {
      visit(mount / below);
      below = below.parent_path();
    }
    visit(mount);
  }
}

/// Bytes left below one limit. Page cache that can be dropped counts as usage in control groups, but not against us.
std::uint64_t bytes_left(std::uint64_t limit, std::uint64_t usage, std::uint64_t droppable) {
  const std::uint64_t used = usage - std::min(usage, droppable);
  return limit - std::min(limit, used);
}

std::size_t available_memory(const fs::path& root) {
  const std::string meminfo = read_text(root / "proc/meminfo");
  const std::uint64_t kibibytes = number_after(meminfo, "MemAvailable:", kNoLimit >> 10);
  std::uint64_t available = kibibytes << 10;
  const auto apply = [&](const fs::path& group, const char* limit_file, const char* usage_file, const char* droppable) {
    const auto limit = leading_number(read_text(group / limit_file));
    if (!limit) return;
    const auto usage = leading_number(read_text(group / usage_file)).value_or(0);
    const auto cache = number_after(read_text(group / "memory.stat"), droppable, 0);
    available = std::min(available, bytes_left(*limit, usage, cache));
  };
  for_each_group(root, "",
                 [&](const fs::path& group) { apply(group, "memory.max", "memory.current", "inactive_file "); });
  for_each_group(root, "memory", [&](const fs::path& group) {
    apply(group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ");
  });
  return available;
}

/// Cores that the cpu quotas amount to, rounded up; `otherwise` where there is none.
int quota_cpus(const fs::path& root, int otherwise) {
  double cpus = otherwise;
  const auto apply = [&](std::optional<std::uint64_t> quota, std::optional<std::uint64_t> period) {
    // Version 1 says −1 for "none", which is no unsigned number.
    if (quota && period && *period > 0)
      cpus = std::min(cpus, static_cast<double>(*quota) / static_cast<double>(*period));
  };
  for_each_group(root, "", [&](const fs::path& group) {
    const std::string text = read_text(group / "cpu.max");  // "200000 100000" or "max 100000"
    const auto space = text.find(' ');
    if (space != std::string::npos) apply(leading_number(text), leading_number(std::string_view(text).substr(space)));
  });
  for_each_group(root, "cpu", [&](const fs::path& group) {
    apply(leading_number(read_text(group / "cpu.cfs_quota_us")),
          leading_number(read_text(group / "cpu.cfs_period_us")));
  });
  return std::max(1, static_cast<int>(std::ceil(cpus)));
}

std::string cpu_model(const fs::path& root) {
  const std::string cpuinfo = read_text(root / "proc/cpuinfo");
  const auto rest = after_key(cpuinfo, "model name");
  const auto colon = rest ? rest->find(": ") : std::string_view::npos;
  return colon == std::string_view::npos ? "unknown processor" : std::string(rest->substr(colon + 2));
}

}  // namespace

Hardware probe_hardware(const fs::path& root) {
  Hardware hardware;
  hardware.cpu_model = cpu_model(root);
  hardware.isa = kernels::name_of(kernels::active_isa());
  hardware.allowed_cpus = quota_cpus(root, static_cast<int>(allowed_cpu_ids().size()));
  hardware.memory_available_bytes = available_memory(root);
  hardware.host = host_name();
  return hardware;
}

std::string binding_text() {
  const std::vector<int> cpus = allowed_cpu_ids();
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  const std::string list = fmt::format("{} {}", cpus.size() == 1 ? "cpu" : "cpus", cpu_list_text(cpus));
  if (online <= static_cast<long>(cpus.size())) return list + ", not bound";
  return fmt::format("{} of {}, bound from outside", list, online);
}

}  // namespace athanor
