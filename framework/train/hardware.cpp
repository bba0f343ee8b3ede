#include "train/hardware.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "base/cpu_model.h"
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

}  // namespace

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

std::string binding_text() {
  const std::vector<int> cpus = allowed_cpu_ids();
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  const std::string list = fmt::format("{} {}", cpus.size() == 1 ? "cpu" : "cpus", cpu_list_text(cpus));
  if (online <= static_cast<long>(cpus.size())) return list + ", not bound";
  return fmt::format("{} of {}, bound from outside", list, online);
}

}  // namespace athanor
