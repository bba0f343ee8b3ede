#include "train/hardware.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "base/host_name.h"
#include "base/text_file.h"
#include "kernels/isa.h"
#include "train/control_groups.h"
#include "train/proc_text.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;

std::size_t available_memory(const fs::path& root) {
  constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t kibibytes = number_after(read_text(root / "proc/meminfo"), "MemAvailable:", kNoLimit >> 10);
  const auto limit = tightest_memory_limit(root);
  return std::min(kibibytes << 10, limit ? limit->left_bytes : kNoLimit);
}

std::string cpu_model(const fs::path& root) {
  const std::string cpuinfo = read_text(root / "proc/cpuinfo");
  const auto rest = after_key(cpuinfo, "model name");
  const auto colon = rest ? rest->find(": ") : std::string_view::npos;
  return colon == std::string_view::npos ? "unknown processor" : std::string(rest->substr(colon + 2));
}

}  // namespace

std::vector<int> allowed_cpu_ids() {
  std::vector<int> ids;
  // The mask must be as large as the kernel's, which is not known beforehand.
  for (int capacity = 1024; capacity <= 1 << 20; capacity *= 2) {
    cpu_set_t* set = CPU_ALLOC(capacity);
    const std::size_t bytes = CPU_ALLOC_SIZE(capacity);
    const bool fits = set != nullptr && sched_getaffinity(0, bytes, set) == 0;
    for (int cpu = 0; fits && cpu < capacity; ++cpu) {
      if (CPU_ISSET_S(cpu, bytes, set)) ids.push_back(cpu);
    }
    CPU_FREE(set);
    if (fits) break;
  }
  if (ids.empty()) ids.push_back(0);
  return ids;
}

Hardware probe_hardware(const fs::path& root) {
  Hardware hardware;
  hardware.cpu_model = cpu_model(root);
  hardware.isa = kernels::name_of(kernels::active_isa());
  const double cpus = quota_cpus(root, static_cast<double>(allowed_cpu_ids().size()));
  hardware.allowed_cpus = std::max(1, static_cast<int>(std::ceil(cpus)));
  hardware.memory_available_bytes = available_memory(root);
  hardware.host = host_name();
  return hardware;
}

std::string cpu_list_text(const std::vector<int>& cpus) {
  std::string text;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    if (!text.empty()) text += ',';
    text += last == i ? fmt::format("{}", cpus[i]) : fmt::format("{}-{}", cpus[i], cpus[last]);
    i = last + 1;
  }
  return text;
}

std::string binding_text() {
  const std::vector<int> cpus = allowed_cpu_ids();
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  const std::string list = fmt::format("{} {}", cpus.size() == 1 ? "cpu" : "cpus", cpu_list_text(cpus));
  if (online <= static_cast<long>(cpus.size())) return list + ", not bound";
  return fmt::format("{} of {}, bound from outside", list, online);
}

}  // namespace athanor
