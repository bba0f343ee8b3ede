#include "base/shape.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "base/error.h"

namespace athanor {

Shape::Shape(std::span<const std::int64_t> extents) : rank_(extents.size()) {
  ATHANOR_CHECK(extents.size() <= kMaxRank, "rank {}", extents.size());
  std::copy(extents.begin(), extents.end(), extents_.begin());
}

std::int64_t Shape::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : extents()) product *= extent;
  return product;
}

std::string Shape::text() const {
  return fmt::format("[{}]", fmt::join(extents(), ", "));
}

}  // namespace athanor
