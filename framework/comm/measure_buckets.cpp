#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>
#include <vector>

#include "comm/buckets.h"
#include "comm/tree_reduction.h"

namespace athanor {
namespace {

constexpr double kCandidates_mb[] = {1, 2, 4, 8, 16, 25};
/// Of the best rate: what a smaller bucket may lose, since it can leave earlier.
constexpr double kGoodEnough = 0.9;
/// A slow network needs no larger candidates: their time is not made of messages any more.
constexpr double kLongEnough_s = 0.05;

/// The fastest of a few calls, of the slowest rank.
double time_sum(Communicator& communicator, TreeReduction& tree, std::vector<float>& data, std::int64_t count) {
  using Clock = std::chrono::steady_clock;
  constexpr int kCalls = 3;
  float* const piece = data.data();
  double best_s = std::numeric_limits<double>::infinity();
  for (int call = 0; call < kCalls; ++call) {
    communicator.barrier("choosing bucket_mb");
    const Clock::time_point start = Clock::now();
    tree.all_reduce({&piece, 1}, {0, count}, "choosing bucket_mb");
    best_s = std::min(best_s, std::chrono::duration<double>(Clock::now() - start).count());
  }
  communicator.all_reduce(&best_s, 1, DType::f64, ReduceOp::max, "choosing bucket_mb");
  return best_s;
}

}  // namespace

double measure_bucket_mb(Communicator& communicator) {
  const auto elements = [](double megabytes) { return static_cast<std::int64_t>(megabytes * 1e6 / sizeof(float)); };
  TreeReduction tree(communicator, communicator.size(), 0);
  std::vector<float> data(static_cast<std::size_t>(elements(*std::rbegin(kCandidates_mb))));
  std::vector<std::pair<double, double>> rates;  // MB, MB/s
  for (const double megabytes : kCandidates_mb) {
    const double seconds = time_sum(communicator, tree, data, elements(megabytes));
    rates.emplace_back(megabytes, megabytes / seconds);
    if (seconds > kLongEnough_s) break;
  }
  double best = 0;
  for (const auto& [megabytes, rate] : rates) best = std::max(best, rate);
  for (const auto& [megabytes, rate] : rates) {
    if (rate >= kGoodEnough * best) return megabytes;
  }
  return rates.back().first;
}

}  // namespace athanor
