#include "io/state_sources.h"

#include "base/error.h"

namespace athanor {

StatePlace place_of(const StateEntry& entry) {
  switch (entry.kind) {
    case StateKind::parameter:
      return {"parameters", entry.name};
    case StateKind::statistic:
      return {"statistics", entry.name};
    case StateKind::average:
      return {"average", entry.name};
    case StateKind::optimizer:
      break;
  }
  const std::size_t slash = entry.name.find('/');
  ATHANOR_CHECK(slash != std::string::npos, "optimizer state '{}' names no slot", entry.name);
  return {"optimizer/" + entry.name.substr(0, slash), entry.name.substr(slash + 1)};
}

std::vector<TensorSource> state_sources(const std::vector<StateEntry>& entries, const StateSnapshot& snapshot) {
  std::vector<TensorSource> sources;
  for (const StateEntry& entry : entries) {
    StatePlace place = place_of(entry);
    sources.push_back({std::move(place.group), std::move(place.name), entry.shape,
                       [entry, &snapshot](std::span<float> values) { snapshot.read(entry, values); }});
  }
  return sources;
}

}  // namespace athanor
