// Softmax, one-hot targets and the losses' forward passes: a warp has a row, the last block adds up the rows.
#include "kernels/cuda/losses.h"

#include <cmath>

#include "kernels/cuda/last_block.h"
#include "kernels/cuda/warp_rows.h"

namespace athanor::kernels::cuda {
namespace {

template <typename T>
ATHANOR_KERNEL __launch_bounds__(kWarpRowThreads) softmax_kernel(RowMatrix matrix, const T* x, T* y) {
  const std::int64_t row = row_of_warp();
  if (row >= matrix.rows) return;
  x += row * matrix.columns;
  y += row * matrix.columns;
  const float top = row_max(x, matrix.columns);
  const auto factor = static_cast<float>(1 / row_exp_sum(x, matrix.columns, top));
  for (std::int64_t i = lane_of_warp(); i < matrix.columns; i += 32)
    y[i] = store_as<T>(expf(load_float(x[i]) - top) * factor);
}

template <typename T>
ATHANOR_KERNEL __launch_bounds__(kWarpRowThreads)
    softmax_backward_kernel(RowMatrix matrix, const T* dy, const T* y, T* dx) {
  const std::int64_t row = row_of_warp(), first = row * matrix.columns;
  if (row >= matrix.rows) return;
  float dot = 0;
  for (std::int64_t i = lane_of_warp(); i < matrix.columns; i += 32)
    dot = fmaf(load_float(dy[first + i]), load_float(y[first + i]), dot);
  const auto sum = static_cast<float>(warp_sum(static_cast<double>(dot)));
  for (std::int64_t i = lane_of_warp(); i < matrix.columns; i += 32)
    dx[first + i] = store_as<T>(load_float(y[first + i]) * (load_float(dy[first + i]) - sum));
}

/// What a row adds to the mean: Σ value / Σ weight.
struct RowTerm {
  double value, weight;
};

/// The end of a loss's kernel, for all threads: the last block adds up the terms of all rows, and says so to thread 0.
ATHANOR_DEVICE bool add_up_rows(const RowTerm* terms, std::int64_t rows, RowTerm& total) {
  if (!is_last_to_arrive(0, static_cast<int>(gridDim.x))) return false;
  RowTerm sum{0, 0};
  for (std::int64_t row = threadIdx.x; row < rows; row += kWarpRowThreads) {
    sum.value += load_shared_result(&terms[row].value);
    sum.weight += load_shared_result(&terms[row].weight);
  }
  total = {block_sum<kWarpRowThreads>(sum.value), block_sum<kWarpRowThreads>(sum.weight)};
  return threadIdx.x == 0;
}

ATHANOR_DEVICE float weight_of(const float* weights, std::int64_t c) {
  return weights != nullptr ? weights[c] : 1.0f;
}

/// The loss of a row, on every lane.
template <typename T>
ATHANOR_DEVICE double cross_entropy_of(const CrossEntropy& args, const T* x, std::int64_t label) {
  const std::int64_t classes = args.matrix.columns;
  const float top = row_max(x, classes);
  const double log_sum = log(row_exp_sum(x, classes, top)) + static_cast<double>(top);
  const double smoothing = args.label_smoothing;
  double loss = (1 - smoothing) * static_cast<double>(weight_of(args.class_weights, label)) *
                (log_sum - static_cast<double>(load_float(x[label])));
  if (smoothing > 0) {
    double smooth = 0;
    for (std::int64_t c = lane_of_warp(); c < classes; c += 32) {
      smooth +=
          static_cast<double>(weight_of(args.class_weights, c)) * (log_sum - static_cast<double>(load_float(x[c])));
    }
    loss += smoothing / static_cast<double>(classes) * warp_sum(smooth);
  }
  return loss;
}

template <typename T>
ATHANOR_KERNEL __launch_bounds__(kWarpRowThreads) cross_entropy_kernel(CrossEntropy args) {
  auto* terms = static_cast<RowTerm*>(args.scratch);
  const std::int64_t row = row_of_warp();
  if (row < args.matrix.rows) {
    const std::int64_t label = args.labels[row];
    const T* x = static_cast<const T*>(args.logits) + row * args.matrix.columns;
    const double loss = label < 0 ? 0.0 : cross_entropy_of(args, x, label);
    if (lane_of_warp() == 0) {
      if (args.sample_loss != nullptr) args.sample_loss[row] = static_cast<float>(loss);
      terms[row] = {loss, label < 0 ? 0.0 : static_cast<double>(weight_of(args.class_weights, label))};
    }
  }
  RowTerm total;
  if (add_up_rows(terms, args.matrix.rows, total))
    *args.loss = total.weight != 0 ? static_cast<float>(total.value / total.weight) : 0.0f;
}

template <MeanLossKind kKind>
ATHANOR_DEVICE float loss_of(float x, float t) {
  if constexpr (kKind == MeanLossKind::squared_error) return (x - t) * (x - t);
  return (x > 0 ? x : 0.0f) - x * t + log1pf(expf(-fabsf(x)));
}

template <MeanLossKind kKind, typename T>
ATHANOR_KERNEL __launch_bounds__(kWarpRowThreads) mean_loss_kernel(MeanLoss args) {
  auto* terms = static_cast<RowTerm*>(args.scratch);
  const std::int64_t row = row_of_warp(), columns = args.matrix.columns;
  if (row < args.matrix.rows) {
    const T* x = static_cast<const T*>(args.x) + row * columns;
    const T* target = static_cast<const T*>(args.target) + row * columns;
    double lane = 0;
    for (std::int64_t i = lane_of_warp(); i < columns; i += 32)
      lane += static_cast<double>(loss_of<kKind>(load_float(x[i]), load_float(target[i])));
    const double sum = warp_sum(lane);
    if (lane_of_warp() == 0) {
      if (args.sample_loss != nullptr) args.sample_loss[row] = static_cast<float>(sum / static_cast<double>(columns));
      terms[row] = {sum, static_cast<double>(columns)};
    }
  }
  RowTerm total;
  if (add_up_rows(terms, args.matrix.rows, total)) *args.loss = static_cast<float>(total.value / total.weight);
}

template <typename T>
ATHANOR_KERNEL __launch_bounds__(kWarpRowThreads) count_correct_kernel(CountCorrect args) {
  auto* terms = static_cast<RowTerm*>(args.scratch);
  const std::int64_t row = row_of_warp(), classes = args.matrix.columns;
  if (row < args.matrix.rows) {
    const std::int64_t label = args.labels[row];
    int rank = -1;
    if (label >= 0) {
      const T* x = static_cast<const T*>(args.logits) + row * classes;
      const float own = load_float(x[label]);
      int before = 0;
      for (std::int64_t c = lane_of_warp(); c < classes; c += 32) {
        const float other = load_float(x[c]);
        if (other > own || (other == own && c < label) || other != other) ++before;
      }
      rank = warp_sum(before);
      if (own != own) rank = static_cast<int>(classes);
    }
    if (lane_of_warp() == 0) {
      if (args.ranks != nullptr) args.ranks[row] = rank;
      terms[row] = {rank == 0 ? 1.0 : 0.0, rank >= 0 && rank < 5 ? 1.0 : 0.0};
    }
  }
  RowTerm total;
  if (!add_up_rows(terms, args.matrix.rows, total)) return;
  args.counts[0] = static_cast<float>(total.value);
  args.counts[1] = static_cast<float>(total.weight);
}

ATHANOR_KERNEL __launch_bounds__(kWarpRowThreads) one_hot_kernel(OneHot args) {
  const std::int64_t count = args.rows * args.classes;
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t row = i / args.classes;
    args.target[i] = args.labels[row] == i - row * args.classes ? 1.0f : 0.0f;
  }
}

}  // namespace

void launch(const Softmax& args, LaunchStream stream) {
  with_type(args.matrix.dtype, [&]<typename T>() {
    launch_kernel(softmax_kernel<T>, blocks_of_rows(args.matrix.rows), kWarpRowThreads, 0, stream, args.matrix,
                  static_cast<const T*>(args.x), static_cast<T*>(args.y));
  });
}

void launch(const SoftmaxBackward& args, LaunchStream stream) {
  with_type(args.matrix.dtype, [&]<typename T>() {
    launch_kernel(softmax_backward_kernel<T>, blocks_of_rows(args.matrix.rows), kWarpRowThreads, 0, stream, args.matrix,
                  static_cast<const T*>(args.dy), static_cast<const T*>(args.y), static_cast<T*>(args.dx));
  });
}

void launch(const CrossEntropy& args, LaunchStream stream) {
  with_type(args.matrix.dtype, [&]<typename T>() {
    launch_kernel(cross_entropy_kernel<T>, blocks_of_rows(args.matrix.rows), kWarpRowThreads, 0, stream, args);
  });
}

void launch(const MeanLoss& args, LaunchStream stream) {
  with_type(args.matrix.dtype, [&]<typename T>() {
    const auto kernel = args.kind == MeanLossKind::squared_error
                            ? mean_loss_kernel<MeanLossKind::squared_error, T>
                            : mean_loss_kernel<MeanLossKind::binary_cross_entropy_with_logits, T>;
    launch_kernel(kernel, blocks_of_rows(args.matrix.rows), kWarpRowThreads, 0, stream, args);
  });
}

void launch(const CountCorrect& args, LaunchStream stream) {
  with_type(args.matrix.dtype, [&]<typename T>() {
    launch_kernel(count_correct_kernel<T>, blocks_of_rows(args.matrix.rows), kWarpRowThreads, 0, stream, args);
  });
}

void launch(const OneHot& args, LaunchStream stream) {
  launch_independent(one_hot_kernel, grid_for(args.rows * args.classes, kWarpRowThreads), kWarpRowThreads, 0, stream,
                     args);
}

}  // namespace athanor::kernels::cuda
