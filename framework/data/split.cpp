#include "data/split.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "data/sampler.h"

namespace athanor {
namespace {

using Members = std::vector<std::vector<std::int64_t>>;

Members members_by_class(std::span<const std::int32_t> labels) {
  Members members;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto label = static_cast<std::size_t>(labels[i]);
    if (label >= members.size()) members.resize(label + 1);
    members[label].push_back(static_cast<std::int64_t>(i));
  }
  return members;
}

/// How many each class gives: floors, then one more to the largest remainders.
std::vector<std::int64_t> quotas(const Members& members, std::int64_t validation, std::int64_t total) {
  std::vector<std::int64_t> quota(members.size()), remainder(members.size());
  std::int64_t given = 0;
  for (std::size_t c = 0; c < members.size(); ++c) {
    const std::int64_t product = validation * static_cast<std::int64_t>(members[c].size());
    quota[c] = product / total;
    remainder[c] = product % total;
    given += quota[c];
  }
  std::vector<std::size_t> order(members.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return remainder[a] > remainder[b]; });
  for (std::size_t i = 0; given < validation; ++i, ++given) ++quota[order[i]];
  return quota;
}

}  // namespace

IndexSplit split_indices(std::span<const std::int32_t> labels, std::int64_t validation, std::uint64_t seed) {
  const auto total = static_cast<std::int64_t>(labels.size());
  if (validation < 0 || (validation > 0 && validation >= total)) {
    throw UsageError("data.validation is {}, want 0 to {}: the training split has {} samples", validation,
                     std::max<std::int64_t>(total - 1, 0), total);
  }
  std::vector<bool> held_out(labels.size(), false);
  if (validation > 0) {
    const Members members = members_by_class(labels);
    const std::vector<std::int64_t> quota = quotas(members, validation, total);
    for (std::size_t c = 0; c < members.size(); ++c) {
      if (members[c].empty()) continue;
      const Permutation order(seed, Purpose::split, c, members[c].size());
      for (std::int64_t k = 0; k < quota[c]; ++k) {
        held_out[static_cast<std::size_t>(members[c][order(static_cast<std::uint64_t>(k))])] = true;
      }
    }
  }
  IndexSplit result;
  for (std::int64_t i = 0; i < total; ++i) {
    (held_out[static_cast<std::size_t>(i)] ? result.validation : result.train).push_back(i);
  }
  return result;
}

}  // namespace athanor
