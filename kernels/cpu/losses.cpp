#include "kernels/losses.h"

#include <cmath>
#include <type_traits>

#include "kernels/cpu/math.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sums.h"

namespace athanor::kernels::ATHANOR_ISA {
namespace {

/// The largest element of a row; NaN where there is one.
template <typename T>
float row_max(const T* x, std::int64_t columns) {
  float best = to_float(x[0]);
  for (std::int64_t i = 1; i < columns; ++i) {
    const float v = to_float(x[i]);
    if (v > best || v != v) best = v;
  }
  return best;
}

/// Σ e^(x − shift).
template <typename T>
double exp_sum(const T* x, std::int64_t columns, float shift) {
  return sum_range(
      0, columns, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
        return exp(load(x + i, part) - shift);
      });
}

void softmax(DType dtype, const void* x_data, void* y_data, std::int64_t rows, std::int64_t columns, int threads) {
  with_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    parallel_items(threads, rows, [&](std::int64_t row) {
      const T* x = static_cast<const T*>(x_data) + row * columns;
      T* y = static_cast<T*>(y_data) + row * columns;
      const float top = row_max(x, columns);
      const auto factor = static_cast<float>(1 / exp_sum(x, columns, top));
      for_vectors(
          0, columns, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
            store(y + i, exp(load(x + i, part) - top) * factor, part);
          });
    });
  });
}

void softmax_backward(DType dtype, const void* dy_data, const void* y_data, void* dx_data, std::int64_t rows,
                      std::int64_t columns, int threads) {
  with_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    parallel_items(threads, rows, [&](std::int64_t row) {
      const T* dy = static_cast<const T*>(dy_data) + row * columns;
      const T* y = static_cast<const T*>(y_data) + row * columns;
      T* dx = static_cast<T*>(dx_data) + row * columns;
      const auto dot = static_cast<float>(sum_range(
          0, columns, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
            return load(dy + i, part) * load(y + i, part);
          }));
      for_vectors(
          0, columns, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
            store(dx + i, load(y + i, part) * (load(dy + i, part) - dot), part);
          });
    });
  });
}

/// How many classes rank before the label: larger logits, and equal ones of a lower class. A NaN ranks before all.
template <typename T>
std::int64_t rank_of(const T* x, std::int64_t classes, std::int64_t label) {
  const float own = to_float(x[label]);
  std::int64_t rank = 0;
  for (std::int64_t c = 0; c < classes; ++c) {
    const float v = to_float(x[c]);
    rank += v > own || (v == own && c < label) || v != v || own != own;
  }
  return own != own ? classes : rank;
}

float weight_of(const float* weights, std::int64_t c) {
  return weights ? weights[c] : 1.0f;
}

double sum_of_weights(const float* weights, std::int64_t classes) {
  double sum = 0;
  for (std::int64_t c = 0; c < classes; ++c) sum += weight_of(weights, c);
  return sum;
}

template <typename T>
double loss_of(const CrossEntropyForward& args, const T* x, std::int64_t label) {
  const float top = row_max(x, args.classes);
  const double log_sum = std::log(exp_sum(x, args.classes, top)) + top;
  const double smoothing = args.label_smoothing;
  double loss = (1 - smoothing) * weight_of(args.class_weights, label) * (log_sum - to_float(x[label]));
  if (smoothing > 0) {
    double smooth = 0;
    for (std::int64_t c = 0; c < args.classes; ++c) {
      smooth += weight_of(args.class_weights, c) * (log_sum - to_float(x[c]));
    }
    loss += smoothing / static_cast<double>(args.classes) * smooth;
  }
  return loss;
}

void cross_entropy(const CrossEntropyForward& args) {
  with_type(args.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    double loss_sum = 0, weight_sum = 0;
    std::int64_t top1 = 0, top5 = 0;
    for (std::int64_t n = 0; n < args.batch; ++n) {
      const std::int64_t label = args.labels[n];
      const T* x = static_cast<const T*>(args.logits) + n * args.classes;
      const double loss = label < 0 ? 0.0 : loss_of(args, x, label);
      if (args.sample_loss) args.sample_loss[n] = static_cast<float>(loss);
      if (label < 0) continue;
      loss_sum += loss;
      weight_sum += weight_of(args.class_weights, label);
      if (args.top1 || args.top5) {
        const std::int64_t rank = rank_of(x, args.classes, label);
        top1 += rank < 1;
        top5 += rank < 5;
      }
    }
    *args.loss = weight_sum != 0 ? static_cast<float>(loss_sum / weight_sum) : 0.0f;
    if (args.loss_sum) *args.loss_sum = loss_sum;
    if (args.weight_sum) *args.weight_sum = weight_sum;
    if (args.top1) *args.top1 = top1;
    if (args.top5) *args.top5 = top5;
  });
}

void cross_entropy_backward(const CrossEntropyBackward& args) {
  double weight_sum = 0;
  for (std::int64_t n = 0; n < args.batch; ++n) {
    if (args.labels[n] >= 0) weight_sum += weight_of(args.class_weights, args.labels[n]);
  }
  const double factor = weight_sum != 0 ? args.scale / weight_sum : 0, smoothing = args.label_smoothing;
  const double share = smoothing / static_cast<double>(args.classes) * factor;
  const double total = sum_of_weights(args.class_weights, args.classes);
  with_type(args.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    for (std::int64_t n = 0; n < args.batch; ++n) {
      const T* x = static_cast<const T*>(args.logits) + n * args.classes;
      T* dx = static_cast<T*>(args.dlogits) + n * args.classes;
      const std::int64_t label = args.labels[n];
      if (label < 0) {
        for (std::int64_t c = 0; c < args.classes; ++c) put(dx[c], 0.0f);
        continue;
      }
      // d = p · (hit + share · Σ w) − share · w − hit at the label
      const double hit = (1 - smoothing) * factor * weight_of(args.class_weights, label);
      const float top = row_max(x, args.classes), own = to_float(x[label]);
      const double sum = exp_sum(x, args.classes, top);
      const auto scale = static_cast<float>((hit + share * total) / sum);
      for_vectors(
          0, args.classes, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
            Vec d = exp(load(x + i, part) - top) * scale;
            const Vec w = args.class_weights ? load(args.class_weights + i, part) : splat(1.0f);
            d -= static_cast<float>(share) * w;
            store(dx + i, d, part);
          });
      const double p = std::exp(static_cast<double>(own - top)) / sum;
      const double at_label = p * (hit + share * total) - share * weight_of(args.class_weights, label) - hit;
      put(dx[label], static_cast<float>(at_label));
    }
  });
}

void mse(DType dtype, const void* x_data, const void* t_data, std::int64_t count, float* loss) {
  with_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* x = static_cast<const T*>(x_data);
    const T* t = static_cast<const T*>(t_data);
    const double sum = sum_range(
        0, count, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
          const Vec d = load(x + i, part) - load(t + i, part);
          return d * d;
        });
    *loss = static_cast<float>(sum / static_cast<double>(count));
  });
}

void mse_backward(DType dtype, const void* x_data, const void* t_data, std::int64_t count, float scale, void* dx_data) {
  const auto factor = static_cast<float>(2.0 * scale / static_cast<double>(count));
  with_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* x = static_cast<const T*>(x_data);
    const T* t = static_cast<const T*>(t_data);
    T* dx = static_cast<T*>(dx_data);
    for_vectors(
        0, count, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
          store(dx + i, factor * (load(x + i, part) - load(t + i, part)), part);
        });
  });
}

void bce_with_logits(DType dtype, const void* x_data, const void* t_data, std::int64_t count, float* loss) {
  with_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const double x = to_float(static_cast<const T*>(x_data)[i]), t = to_float(static_cast<const T*>(t_data)[i]);
      sum += (x > 0 ? x : 0) - x * t + std::log1p(std::exp(-std::fabs(x)));
    }
    *loss = static_cast<float>(sum / static_cast<double>(count));
  });
}

void bce_with_logits_backward(DType dtype, const void* x_data, const void* t_data, std::int64_t count, float scale,
                              void* dx_data) {
  const auto factor = static_cast<float>(scale / static_cast<double>(count));
  with_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* x = static_cast<const T*>(x_data);
    const T* t = static_cast<const T*>(t_data);
    T* dx = static_cast<T*>(dx_data);
    for_vectors(
        0, count, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
          store(dx + i, factor * (sigmoid(load(x + i, part)) - load(t + i, part)), part);
        });
  });
}

void one_hot(const std::int32_t* labels, std::int64_t batch, std::int64_t classes, float* t) {
  for (std::int64_t n = 0; n < batch; ++n) {
    for (std::int64_t c = 0; c < classes; ++c) t[n * classes + c] = labels[n] == c ? 1.0f : 0.0f;
  }
}

}  // namespace

extern const LossKernels loss_table = {softmax, softmax_backward, cross_entropy,   cross_entropy_backward,
                                       mse,     mse_backward,     bce_with_logits, bce_with_logits_backward,
                                       one_hot};

}  // namespace athanor::kernels::ATHANOR_ISA
