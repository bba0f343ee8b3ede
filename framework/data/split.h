// A seeded, stratified hold-out: some training images set aside for validation, every class in proportion.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace athanor {

struct IndexSplit {
  std::vector<std::int64_t> train;       ///< ascending
  std::vector<std::int64_t> validation;  ///< ascending
};

/// Sets `validation` of the samples aside. A class with n_c of the n samples gives validation·n_c/n of them, rounded so
/// that no class is off by 1 or more and the total is exact (largest remainder; ties to the lower class). Which ones is
/// drawn from (seed, class). A pure function of its arguments. `labels` are ≥ 0.
/// Throws UsageError unless 0 ≤ validation < labels.size() (validation 0 of 0 samples is allowed).
IndexSplit split_indices(std::span<const std::int32_t> labels, std::int64_t validation, std::uint64_t seed);

}  // namespace athanor
