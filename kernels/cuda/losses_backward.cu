// The losses' gradients. What multiplies them is read from device memory.
#include <cmath>

#include "kernels/cuda/last_block.h"
#include "kernels/cuda/losses.h"
#include "kernels/cuda/warp_rows.h"

namespace athanor::kernels::cuda {
namespace {

ATHANOR_DEVICE double value_of(const GradientScale& scale) {
  const double dloss = *scale.dloss;
  return scale.loss_scale != nullptr ? dloss * static_cast<double>(*scale.loss_scale) : dloss;
}

ATHANOR_DEVICE double weight_of(const float* weights, std::int64_t c) {
  return weights != nullptr ? static_cast<double>(weights[c]) : 1.0;
}

/// Every block adds up the weights of all labels for itself: they are few, and a launch is saved.
template <typename T>
ATHANOR_KERNEL __launch_bounds__(kWarpRowThreads) cross_entropy_backward_kernel(CrossEntropyBackward args) {
  const std::int64_t classes = args.matrix.columns, row = row_of_warp();
  double labels_weight = 0, classes_weight = 0;
  for (std::int64_t n = threadIdx.x; n < args.matrix.rows; n += kWarpRowThreads) {
    if (args.labels[n] >= 0) labels_weight += weight_of(args.class_weights, args.labels[n]);
  }
  for (std::int64_t c = threadIdx.x; c < classes; c += kWarpRowThreads)
    classes_weight += weight_of(args.class_weights, c);
  labels_weight = block_sum<kWarpRowThreads>(labels_weight);
  classes_weight = block_sum<kWarpRowThreads>(classes_weight);
  if (row >= args.matrix.rows) return;

  const T* x = static_cast<const T*>(args.logits) + row * classes;
  T* dx = static_cast<T*>(args.dlogits) + row * classes;
  const std::int64_t label = args.labels[row];
  if (label < 0) {
    for (std::int64_t c = lane_of_warp(); c < classes; c += 32) dx[c] = store_as<T>(0.0f);
    return;
  }
  // d = p · (hit + share · Σ w) − share · w − hit at the label
  const double smoothing = args.label_smoothing;
  const double factor = labels_weight != 0 ? value_of(args.scale) / labels_weight : 0.0;
  const double share = smoothing / static_cast<double>(classes) * factor;
  const double hit = (1 - smoothing) * factor * weight_of(args.class_weights, label);
  const float top = row_max(x, classes), own = load_float(x[label]);
  const double sum = row_exp_sum(x, classes, top);
  const auto scale = static_cast<float>((hit + share * classes_weight) / sum);
  for (std::int64_t c = lane_of_warp(); c < classes; c += 32) {
    if (c == label) continue;
    const float p = expf(load_float(x[c]) - top) * scale;
    dx[c] = store_as<T>(p - static_cast<float>(share) * static_cast<float>(weight_of(args.class_weights, c)));
  }
  if (lane_of_warp() == 0) {
    const double p = exp(static_cast<double>(own - top)) / sum;
    const double at_label = p * (hit + share * classes_weight) - share * weight_of(args.class_weights, label) - hit;
    dx[label] = store_as<T>(static_cast<float>(at_label));
  }
}

template <MeanLossKind kKind, typename T>
ATHANOR_KERNEL __launch_bounds__(kWarpRowThreads) mean_loss_backward_kernel(MeanLossBackward args) {
  const std::int64_t count = args.matrix.rows * args.matrix.columns;
  constexpr double kFactor = kKind == MeanLossKind::squared_error ? 2.0 : 1.0;
  const auto factor = static_cast<float>(kFactor * value_of(args.scale) / static_cast<double>(count));
  const T* x = static_cast<const T*>(args.x);
  const T* target = static_cast<const T*>(args.target);
  T* dx = static_cast<T*>(args.dx);
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const float v = load_float(x[i]);
    const float y = kKind == MeanLossKind::squared_error ? v : 1.0f / (1.0f + expf(-v));
    dx[i] = store_as<T>(factor * (y - load_float(target[i])));
  }
}

}  // namespace

void launch(const CrossEntropyBackward& args, LaunchStream stream) {
  with_type(args.matrix.dtype, [&]<typename T>() {
    launch_kernel(cross_entropy_backward_kernel<T>, blocks_of_rows(args.matrix.rows), kWarpRowThreads, 0, stream, args);
  });
}

void launch(const MeanLossBackward& args, LaunchStream stream) {
  with_type(args.matrix.dtype, [&]<typename T>() {
    const auto kernel = args.kind == MeanLossKind::squared_error
                            ? mean_loss_backward_kernel<MeanLossKind::squared_error, T>
                            : mean_loss_backward_kernel<MeanLossKind::binary_cross_entropy_with_logits, T>;
    launch_independent(kernel, grid_for(args.matrix.rows * args.matrix.columns, kWarpRowThreads), kWarpRowThreads, 0,
                       stream, args);
  });
}

}  // namespace athanor::kernels::cuda
