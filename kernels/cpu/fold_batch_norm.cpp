#include "kernels/fold_batch_norm.h"

#include <cmath>
#include <type_traits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"

namespace athanor::kernels::ATHANOR_ISA {
namespace {

void fold_channels(const FoldBatchNorm& fold) {
  for (std::int64_t c = 0; c < fold.channels; ++c) {
    const double scale = static_cast<double>(fold.gamma[c]) /
                         std::sqrt(static_cast<double>(fold.var[c]) + static_cast<double>(fold.eps));
    const double bias = fold.bias ? static_cast<double>(fold.bias[c]) : 0.0;
    fold.scale[c] = static_cast<float>(scale);
    fold.folded_bias[c] =
        static_cast<float>(static_cast<double>(fold.beta[c]) + (bias - static_cast<double>(fold.mean[c])) * scale);
  }
}

/// Elements [offset, offset + size of digit `at` and all behind it), of channels from `channel` on.
template <typename T>
void scale_digits(const FoldBatchNorm& fold, int at, std::int64_t offset, std::int64_t elements, std::int64_t channel) {
  const ChannelDigit digit = fold.digits[static_cast<std::size_t>(at)];
  const float* scale = fold.scale + channel;
  T* folded = static_cast<T*>(fold.folded_weight);
  if (elements > digit.size) {
    const std::int64_t part = elements / digit.size;
    for (std::int64_t i = 0; i < digit.size; ++i) {
      scale_digits<T>(fold, at + 1, offset + i * part, part, channel + i * digit.step);
    }
  } else if (digit.step == 1) {
    for_vectors(
        0, elements, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
          store(folded + offset + i, load(fold.weight + offset + i, part) * load(scale + i, part), part);
        });
  } else {
    for (std::int64_t i = 0; i < elements; ++i)
      put(folded[offset + i], fold.weight[offset + i] * scale[i * digit.step]);
  }
}

void batch_norm(const FoldBatchNorm& fold) {
  fold_channels(fold);
  std::int64_t inner = 1;
  for (int i = 1; i < fold.digit_count; ++i) inner *= fold.digits[static_cast<std::size_t>(i)].size;
  const ChannelDigit first = fold.digits[0];
  with_type(fold.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    if (fold.digit_count == 1) return scale_digits<T>(fold, 0, 0, first.size, 0);
    parallel_items(fold.threads, first.size,
                   [&](std::int64_t i) { scale_digits<T>(fold, 1, i * inner, inner, i * first.step); });
  });
}

}  // namespace

extern const FoldKernels fold_table = {batch_norm};

}  // namespace athanor::kernels::ATHANOR_ISA
