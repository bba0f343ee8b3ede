#include "base/cpu_model.h"

#include <fstream>
#include <string_view>

namespace athanor {

std::string cpu_model(const std::filesystem::path& root) {
  constexpr std::string_view kKey = "model name", kMark = ": ";
  // The first processor's is near the top of a file that is long where there are many.
  std::ifstream cpuinfo(root / "proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    const std::size_t mark = line.find(kMark);
    if (line.starts_with(kKey) && mark != std::string::npos) return line.substr(mark + kMark.size());
  }
  return "unknown processor";
}

}  // namespace athanor
