#include "train/verify_ranks.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <vector>

#include "train/phases.h"

namespace athanor {
namespace {

using Hashes = std::vector<std::uint64_t>;

/// What most ranks have; of equally many, what the lowest has.
Hashes majority(const std::vector<Hashes>& of_ranks) {
  const auto votes = [&](const Hashes& hashes) { return std::count(of_ranks.begin(), of_ranks.end(), hashes); };
  return *std::max_element(of_ranks.begin(), of_ranks.end(),
                           [&](const Hashes& a, const Hashes& b) { return votes(a) < votes(b); });
}

/// Of the tensors that hash_state hashes.
std::string name_of_hashed(const Executable& executable, std::size_t index) {
  for (const StateEntry& entry : executable.list_state()) {
    if (entry.kind != StateKind::parameter && entry.kind != StateKind::statistic) continue;
    if (index-- == 0) return entry.name;
  }
  return "a tensor without a name";
}

}  // namespace

void want_same_weights(const Executable& executable, Communicator& communicator, std::int64_t step) {
  if (communicator.size() == 1) return;
  const Hashes own = executable.hash_state();
  const auto ranks = static_cast<std::size_t>(communicator.size());
  Hashes all(ranks * own.size());
  communicator.all_gather(own.data(), all.data(), own.size() * sizeof(std::uint64_t), "hashes of the weights");
  std::vector<Hashes> of_ranks;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(rank * own.size());
    of_ranks.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(own.size()));
  }
  const Hashes usual = majority(of_ranks);
  std::vector<std::string> others;
  std::size_t first = own.size();
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    if (of_ranks[rank] == usual) continue;
    others.push_back(communicator.name_of(static_cast<int>(rank)));
    const auto place = std::mismatch(usual.begin(), usual.end(), of_ranks[rank].begin()).first - usual.begin();
    first = std::min(first, static_cast<std::size_t>(place));
  }
  if (others.empty()) return;
  throw_on_all_ranks(
      {ExitCode::numerics,
       fmt::format("after step {}: the weights of {} are not those of the other ranks, first in {}; is a "
                   "memory or a link broken there? Start again without that host: the run goes on from "
                   "its last checkpoint",
                   step, fmt::join(others, ", "), name_of_hashed(executable, first))});
}

}  // namespace athanor
