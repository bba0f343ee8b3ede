// Packs values into one arena so that two values share bytes only when they are never needed at the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace athanor {

/// What vector loads and the workspaces of libraries want.
inline constexpr std::size_t kArenaAlignment = 256;

constexpr std::size_t align_up(std::size_t bytes, std::size_t alignment = kArenaAlignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

/// Bytes that are needed from step `first` to step `last`, both included.
struct Lifetime {
  std::int32_t first = 0;
  std::int32_t last = 0;
  std::size_t bytes = 0;
};

struct Packing {
  std::vector<std::size_t> offsets;  ///< per lifetime, multiples of kArenaAlignment
  std::size_t bytes = 0;             ///< size of the arena
};

/// Best fit in order of time, freed neighbours merged: O(n log n), so that networks of thousands of layers plan
/// quickly.
Packing pack(std::span<const Lifetime> lifetimes);

}  // namespace athanor
