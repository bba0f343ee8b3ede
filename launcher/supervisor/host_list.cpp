#include "launcher/supervisor/host_list.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace athanor {
namespace {

constexpr int kMostSlots = 65536;

std::optional<int> parse_count(std::string_view text) {
  int count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count < 1 || count > kMostSlots) return std::nullopt;
  return count;
}

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// A name that begins with '-' would be an option of whatever it is handed to.
bool is_host_name(const std::string& name) {
  if (name.empty() || name.front() == '-' || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return c < 0x80 && (std::isalnum(c) != 0 || std::strchr("-._", c) != nullptr);
  });
}

}  // namespace

std::vector<HostSlots> parse_host_list(const std::string& text) {
  std::vector<HostSlots> hosts;
  for (const std::string& part : split_at_commas(text)) {
    const std::size_t colon = part.find(':');
    HostSlots host{part.substr(0, colon), 1};
    if (!is_host_name(host.name)) {
      throw UsageError("--hosts {}: '{}' is no host; write names and how many ranks each takes: --hosts h1:4,h2:4",
                       text, part);
    }
    if (colon != std::string::npos) {
      const std::optional<int> slots = parse_count(std::string_view(part).substr(colon + 1));
      if (!slots) {
        throw UsageError("--hosts {}: '{}': behind the colon stands how many ranks the host takes, 1 to {}", text, part,
                         kMostSlots);
      }
      host.slots = *slots;
    }
    for (const HostSlots& other : hosts) {
      if (is_same_host(other.name, host.name)) {
        throw UsageError("--hosts {}: {} is given twice; add up what it takes: {}:{}", text, host.name, host.name,
                         other.slots + host.slots);
      }
    }
    hosts.push_back(std::move(host));
  }
  return hosts;
}

std::vector<int> parse_tasks_per_node(const std::string& text) {
  std::vector<int> counts;
  for (const std::string& part : split_at_commas(text)) {
    const std::size_t times = part.find("(x");
    const std::optional<int> count = parse_count(std::string_view(part).substr(0, times));
    std::optional<int> nodes = 1;
    if (times != std::string::npos) {
      nodes = part.back() == ')' ? parse_count(std::string_view(part).substr(times + 2, part.size() - times - 3))
                                 : std::nullopt;
    }
    if (!count || !nodes) {
      throw UsageError(
          "SLURM_TASKS_PER_NODE is '{}', which is not understood; say which hosts to use with --hosts h1:4,h2:4", text);
    }
    counts.insert(counts.end(), static_cast<std::size_t>(*nodes), *count);
  }
  return counts;
}

int slots_of(std::span<const HostSlots> hosts) {
  int slots = 0;
  for (const HostSlots& host : hosts) slots += host.slots;
  return slots;
}

std::string names_text(std::span<const HostSlots> hosts) {
  std::string text;
  for (const HostSlots& host : hosts) text += (text.empty() ? "" : ", ") + host.name;
  return text;
}

std::vector<HostSlots> fill(std::span<const HostSlots> hosts, int ranks) {
  std::vector<HostSlots> filled;
  for (const HostSlots& host : hosts) {
    if (ranks <= 0) break;
    filled.push_back({host.name, std::min(host.slots, ranks)});
    ranks -= filled.back().slots;
  }
  return filled;
}

bool is_same_host(const std::string& a, const std::string& b) {
  if (a == b) return true;
  const std::string &shorter = a.size() < b.size() ? a : b, &longer = a.size() < b.size() ? b : a;
  return !shorter.empty() && longer.starts_with(shorter) && longer[shorter.size()] == '.';
}

}  // namespace athanor
