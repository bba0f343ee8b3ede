#include "train/control_groups.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <string>

#include "base/text_file.h"
#include "train/proc_text.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kNoMachineHas = std::uint64_t{1} << 60;

/// Calls `visit` with the folder of our control group and each of its parents, because a limit holds for all below it.
/// `controller` is "" for version 2 (one hierarchy, "0::/path") and a controller's name for version 1
/// ("4:memory:/path").
void for_each_group(const fs::path& root, const std::string& controller,
                    const std::function<void(const fs::path&)>& visit) {
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

/// "0-3,8" has 5; none for an empty or unreadable list.
std::optional<int> count_cpus(std::string_view list) {
  int count = 0;
  while (const auto first = leading_number(list)) {
    std::uint64_t last = *first;
    const std::string_view range = list.substr(0, list.find(','));
    if (const auto dash = range.find('-'); dash != std::string_view::npos)
      last = leading_number(range.substr(dash + 1)).value_or(*first);
    count += static_cast<int>(last - *first + 1);
    list.remove_prefix(std::min(range.size() + 1, list.size()));
  }
  return count > 0 ? std::optional(count) : std::nullopt;
}

}  // namespace

std::optional<MemoryLimit> tightest_memory_limit(const fs::path& root) {
  std::optional<MemoryLimit> tightest;
  const auto apply = [&](const fs::path& group, const char* limit_file, const char* usage_file, const char* droppable) {
    const auto limit = leading_number(read_text(group / limit_file));
    // Version 1 says "none" with a number that no machine has.
    if (!limit || *limit >= kNoMachineHas) return;
    const auto usage = leading_number(read_text(group / usage_file)).value_or(0);
    const auto cache = number_after(read_text(group / "memory.stat"), droppable, 0);
    const std::uint64_t left = bytes_left(*limit, usage, cache);
    if (!tightest || left < tightest->left_bytes) tightest = {group, *limit, left};
  };
  for_each_group(root, "",
                 [&](const fs::path& group) { apply(group, "memory.max", "memory.current", "inactive_file "); });
  for_each_group(root, "memory", [&](const fs::path& group) {
    apply(group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ");
  });
  return tightest;
}

double quota_cpus(const fs::path& root, double otherwise) {
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
  return cpus;
}

std::optional<int> cpuset_size(const fs::path& root) {
  std::optional<int> size;
  const auto apply = [&](const fs::path& file) {
    const auto count = count_cpus(read_text(file));
    if (count && (!size || *count < *size)) size = count;
  };
  for_each_group(root, "", [&](const fs::path& group) { apply(group / "cpuset.cpus.effective"); });
  for_each_group(root, "cpuset", [&](const fs::path& group) { apply(group / "cpuset.effective_cpus"); });
  return size;
}

}  // namespace athanor
