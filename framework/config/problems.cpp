#include "config/problems.h"

#include <algorithm>
#include <tuple>

#include <fmt/ranges.h>

#include "base/error.h"

namespace athanor {
namespace {

constexpr std::size_t kMostShown = 50;

}  // namespace

void Problems::add(Location place, std::string_view path, std::string_view message) {
  add(std::move(place), path.empty() ? std::string(message) : fmt::format("{}: {}", path, message));
}

std::string Problems::text() const {
  auto sorted = found_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    // What has no line (the command line) comes last, in the order given.
    const auto key = [](const Location& at) { return std::tuple(at.line == 0, at.line, at.column); };
    return key(a.first) < key(b.first);
  });
  std::vector<std::string> lines;
  for (const auto& [place, message] : sorted) {
    const std::string where = place.text();
    std::string line = where.empty() ? message : fmt::format("{}: {}", where, message);
    if (std::find(lines.begin(), lines.end(), line) != lines.end()) continue;
    if (lines.size() == kMostShown) {
      lines.push_back(fmt::format("… {} problems in all; mend these first", found_.size()));
      break;
    }
    lines.push_back(std::move(line));
  }
  return fmt::format("{}", fmt::join(lines, "\n"));
}

void Problems::throw_if_any() const {
  if (!empty()) throw UsageError(text());
}

}  // namespace athanor
