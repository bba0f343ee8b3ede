#include "base/cpu_set.h"

#include <fmt/format.h>
#include <sched.h>

#include <cstddef>

namespace athanor {

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

}  // namespace athanor
