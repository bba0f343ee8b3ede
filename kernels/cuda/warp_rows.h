// A warp for each row of a matrix: lanes take every 32nd column and add up what they have along a tree. Code of
// kernels: include it in .cu files only.
#pragma once

#include "kernels/cuda/losses.h"
#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda {

inline constexpr int kWarpRowThreads = 256;
inline constexpr int kRowsOfBlock = kWarpRowThreads / 32;
inline constexpr unsigned kWholeWarp = 0xffffffffu;

inline unsigned blocks_of_rows(std::int64_t rows) {
  return static_cast<unsigned>((rows + kRowsOfBlock - 1) / kRowsOfBlock);
}

ATHANOR_DEVICE int lane_of_warp() {
  return static_cast<int>(threadIdx.x % 32);
}
/// May be beyond the last row: the warps of the last block.
ATHANOR_DEVICE std::int64_t row_of_warp() {
  return static_cast<std::int64_t>(blockIdx.x) * kRowsOfBlock + threadIdx.x / 32;
}

ATHANOR_DEVICE double warp_sum(double value) {
  for (int mask = 16; mask > 0; mask /= 2) value += __shfl_xor_sync(kWholeWarp, value, mask);
  return value;
}
ATHANOR_DEVICE int warp_sum(int value) {
  for (int mask = 16; mask > 0; mask /= 2) value += __shfl_xor_sync(kWholeWarp, value, mask);
  return value;
}

/// The largest element of a row; NaN where there is one.
template <typename T>
ATHANOR_DEVICE float row_max(const T* x, std::int64_t columns) {
  float best = load_float(x[0]);
  for (std::int64_t i = lane_of_warp(); i < columns; i += 32) {
    const float v = load_float(x[i]);
    if (v > best || v != v) best = v;
  }
  for (int mask = 16; mask > 0; mask /= 2) {
    const float other = __shfl_xor_sync(kWholeWarp, best, mask);
    if (other > best || other != other) best = other;
  }
  return best;
}

/// Σ e^(x − shift).
template <typename T>
ATHANOR_DEVICE double row_exp_sum(const T* x, std::int64_t columns, float shift) {
  float sum = 0;
  for (std::int64_t i = lane_of_warp(); i < columns; i += 32) sum += expf(load_float(x[i]) - shift);
  return warp_sum(static_cast<double>(sum));
}

}  // namespace athanor::kernels::cuda
