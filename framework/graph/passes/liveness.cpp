#include "graph/passes/liveness.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "base/error.h"

namespace athanor {
namespace {

/// Free ranges by offset and by size; allocation takes the smallest range that fits, at its lower end.
class FreeList {
 public:
  std::size_t take(std::size_t bytes) {
    const auto fit = by_size_.lower_bound({bytes, 0});
    if (fit == by_size_.end()) return extend(bytes);
    const auto [size, offset] = *fit;
    erase(offset, size);
    if (size > bytes) insert(offset + bytes, size - bytes);
    return offset;
  }

  void give(std::size_t offset, std::size_t bytes) {
    auto next = by_offset_.lower_bound(offset);
    if (next != by_offset_.end() && next->first == offset + bytes) {
      bytes += next->second;
      const std::size_t size = next->second, at = next->first;
      next = std::next(next);
      erase(at, size);
    }
    if (next != by_offset_.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == offset) {
        offset = before->first;
        bytes += before->second;
        erase(before->first, before->second);
      }
    }
    insert(offset, bytes);
  }

  std::size_t end() const { return end_; }

 private:
  std::size_t extend(std::size_t bytes) {
    // A free range that touches the end of the arena grows instead of leaving a hole behind.
    if (!by_offset_.empty()) {
      const auto last = std::prev(by_offset_.end());
      if (last->first + last->second == end_) {
        const std::size_t offset = last->first;
        end_ = offset + bytes;
        erase(offset, last->second);
        return offset;
      }
    }
    const std::size_t offset = end_;
    end_ += bytes;
    return offset;
  }
  void insert(std::size_t offset, std::size_t size) {
    by_offset_[offset] = size;
    by_size_.insert({size, offset});
  }
  void erase(std::size_t offset, std::size_t size) {
    by_offset_.erase(offset);
    by_size_.erase({size, offset});
  }

  std::map<std::size_t, std::size_t> by_offset_;
  std::set<std::pair<std::size_t, std::size_t>> by_size_;
  std::size_t end_ = 0;
};

}  // namespace

Packing pack(std::span<const Lifetime> lifetimes) {
  std::vector<std::size_t> starts(lifetimes.size()), ends(lifetimes.size());
  std::iota(starts.begin(), starts.end(), std::size_t{0});
  ends = starts;
  // Larger first among those that start together: they leave the smaller holes.
  std::stable_sort(starts.begin(), starts.end(), [&](std::size_t a, std::size_t b) {
    return lifetimes[a].first != lifetimes[b].first ? lifetimes[a].first < lifetimes[b].first
                                                    : lifetimes[a].bytes > lifetimes[b].bytes;
  });
  std::stable_sort(ends.begin(), ends.end(),
                   [&](std::size_t a, std::size_t b) { return lifetimes[a].last < lifetimes[b].last; });
  Packing packing;
  packing.offsets.resize(lifetimes.size());
  FreeList free;
  std::size_t ended = 0;
  for (const std::size_t id : starts) {
    const Lifetime& lifetime = lifetimes[id];
    ATHANOR_CHECK(lifetime.first <= lifetime.last);
    for (; ended < ends.size() && lifetimes[ends[ended]].last < lifetime.first; ++ended) {
      const std::size_t done = ends[ended];
      if (lifetimes[done].bytes > 0) free.give(packing.offsets[done], align_up(lifetimes[done].bytes));
    }
    packing.offsets[id] = lifetime.bytes == 0 ? 0 : free.take(align_up(lifetime.bytes));
  }
  packing.bytes = free.end();
  return packing;
}

}  // namespace athanor
