// Cuts a tensor into contiguous blocks of a bounded size. HDF5 has one lock for the whole process, held for a call:
// small calls let its other users in between. Internal to io/.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace athanor {

/// A block of a tensor in row-major order: `start` and `count` per axis, `offset` its first element.
struct Slab {
  std::vector<unsigned long long> start;
  std::vector<unsigned long long> count;
  std::uint64_t offset = 0;
};

/// Calls `visit(slab)` for blocks of at most `max_elements` ≥ 1 elements, in order, until all of `extents` are covered.
template <typename Visit>
void for_each_slab(std::span<const std::int64_t> extents, std::uint64_t max_elements, Visit&& visit) {
  std::uint64_t total = 1;
  for (const std::int64_t extent : extents) total *= static_cast<std::uint64_t>(extent);
  // The outermost axis along which whole rows fit: axes before it are walked, axes behind it are taken whole.
  std::size_t cut = 0;
  std::uint64_t row = total;
  while (cut < extents.size()) {
    row /= std::max<std::uint64_t>(1, static_cast<std::uint64_t>(extents[cut]));
    if (row <= max_elements) break;
    ++cut;
  }
  Slab slab;
  while (slab.offset < total) {
    slab.start.assign(extents.size(), 0);
    slab.count.assign(extents.begin(), extents.end());
    std::uint64_t rest = slab.offset / row;
    std::uint64_t elements = row;
    for (std::size_t axis = extents.empty() ? 0 : cut + 1; axis-- > 0;) {
      const auto extent = static_cast<std::uint64_t>(extents[axis]);
      slab.start[axis] = rest % extent;
      slab.count[axis] = axis == cut ? std::min(extent - rest % extent, max_elements / row) : 1;
      rest /= extent;
      elements *= slab.count[axis];
    }
    visit(std::as_const(slab));
    slab.offset += elements;
  }
}

}  // namespace athanor
