#include "backend/cuda/logical_order.h"

#include <algorithm>

#include "backend/cuda/op.h"
#include "base/error.h"

namespace athanor::cuda {
namespace {

/// Calls visit(position in [O, I, KH, KW], position in [O, KH, KW, I]) for every element.
template <typename Visit>
void for_each_weight(const Shape& shape, Visit visit) {
  const std::int64_t out = shape[0], in = shape[1], taps = shape[2] * shape[3];
  for (std::int64_t o = 0; o < out; ++o) {
    for (std::int64_t i = 0; i < in; ++i) {
      for (std::int64_t tap = 0; tap < taps; ++tap) visit((o * in + i) * taps + tap, (o * taps + tap) * in + i);
    }
  }
}

bool is_plain(const Layout& layout) {
  ATHANOR_CHECK(layout == kPlain || layout == kOhwi, "state in layout {}", layout);
  return layout == kPlain;
}

}  // namespace

void to_logical(const Shape& shape, const Layout& layout, const float* held, std::span<float> logical) {
  if (is_plain(layout)) {
    std::copy_n(held, logical.size(), logical.data());
    return;
  }
  for_each_weight(shape,
                  [&](std::int64_t to, std::int64_t from) { logical[static_cast<std::size_t>(to)] = held[from]; });
}

void from_logical(const Shape& shape, const Layout& layout, std::span<const float> logical, float* held) {
  if (is_plain(layout)) {
    std::copy_n(logical.data(), logical.size(), held);
    return;
  }
  for_each_weight(shape,
                  [&](std::int64_t from, std::int64_t to) { held[to] = logical[static_cast<std::size_t>(from)]; });
}

}  // namespace athanor::cuda
