#include "comm/all_reduce_benchmark.h"

#include <algorithm>
#include <chrono>

#include "comm/mpi_communicator.h"
#include "comm/tree_reduction.h"

namespace athanor {
namespace {

constexpr int kRounds = 11;

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// One size: a vector that both sides sum in place.
class Bench {
 public:
  Bench(Communicator& communicator, TreeReduction& tree, std::vector<float>& data, std::int64_t count)
      : communicator_(communicator), tree_(tree), data_(data), count_(count) {}

  /// Small whole numbers, whose sums are exact in any order.
  void fill() {
    for (std::int64_t i = 0; i < count_; ++i) {
      data_[static_cast<std::size_t>(i)] = static_cast<float>((i + communicator_.rank()) % 17);
    }
  }
  bool is_exact() const {
    for (std::int64_t i = 0; i < count_; ++i) {
      int sum = 0;
      for (int rank = 0; rank < communicator_.size(); ++rank) sum += static_cast<int>((i + rank) % 17);
      if (data_[static_cast<std::size_t>(i)] != static_cast<float>(sum)) return false;
    }
    return true;
  }
  void run_tree() {
    float* const piece = data_.data();
    tree_.all_reduce({&piece, 1}, {0, count_}, "bench allreduce");
  }
  bool run_library() { return mpi_blocking_all_reduce(communicator_, data_.data(), static_cast<std::size_t>(count_)); }

  /// Seconds of one call, of the slowest rank.
  template <typename Call>
  double time(int calls, const Call& call) {
    using Clock = std::chrono::steady_clock;
    communicator_.barrier("bench allreduce");
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < calls; ++i) call();
    double seconds = std::chrono::duration<double>(Clock::now() - start).count() / calls;
    communicator_.all_reduce(&seconds, 1, DType::f64, ReduceOp::max, "bench allreduce");
    return seconds;
  }

 private:
  Communicator& communicator_;
  TreeReduction& tree_;
  std::vector<float>& data_;
  std::int64_t count_;
};

AllReduceRow measure(Bench& bench, Communicator& communicator, std::int64_t bytes, double seconds) {
  AllReduceRow row{.bytes = bytes};
  bench.fill();
  bench.run_tree();
  auto exact = static_cast<std::int32_t>(bench.is_exact() ? 1 : 0);
  communicator.all_reduce(&exact, 1, DType::i32, ReduceOp::min, "bench allreduce");
  row.exact = exact != 0;
  const bool has_library = bench.run_library();
  const double once_s = std::max(bench.time(2, [&] { bench.run_tree(); }), 1e-7);
  const int calls = static_cast<int>(std::clamp(seconds / (2 * kRounds * once_s), 1.0, 1e5));
  std::vector<double> tree, library, ratios;
  for (int round = 0; round < kRounds; ++round) {
    tree.push_back(bench.time(calls, [&] { bench.run_tree(); }));
    if (!has_library) continue;
    library.push_back(bench.time(calls, [&] { bench.run_library(); }));
    ratios.push_back(library.back() / tree.back());
  }
  const double ranks = communicator.size(), on_bus = static_cast<double>(bytes) * 2 * (ranks - 1) / ranks * 1e-9;
  row.tree_us = median_of(tree) * 1e6;
  row.tree_bus_gb_s = on_bus / median_of(tree);
  if (has_library) {
    row.library_us = median_of(library) * 1e6;
    row.library_bus_gb_s = on_bus / median_of(library);
    row.ratio = median_of(ratios);
  }
  return row;
}

}  // namespace

void benchmark_all_reduce(Communicator& communicator, const AllReduceBenchmarkOptions& options,
                          const std::function<void(const AllReduceRow&)>& row) {
  const auto most = options.last_bytes / static_cast<std::int64_t>(sizeof(float));
  TreeReduction tree(communicator, communicator.size(), 0);
  std::vector<float> data(static_cast<std::size_t>(std::max<std::int64_t>(most, 1)));
  for (std::int64_t bytes = options.first_bytes; bytes <= options.last_bytes; bytes *= options.factor) {
    Bench bench(communicator, tree, data, bytes / static_cast<std::int64_t>(sizeof(float)));
    row(measure(bench, communicator, bytes, options.seconds_a_size));
  }
}

}  // namespace athanor
