// What the tests of batch norm's forward and backward kernels share: sizes, random inputs and the forward call.
#pragma once

#include "gpu/kernels/guarded.h"
#include "kernels/cuda/batch_norm.h"

namespace athanor::kernels::cuda {

void launch(const BatchNorm&, LaunchStream);
void launch(const BatchNormInference&, LaunchStream);
void launch(const BatchNormBackward&, LaunchStream);
void launch(const BatchNormMoments&, LaunchStream);
void launch(const BatchNormCombine&, LaunchStream);
void launch(const BatchNormSums&, LaunchStream);
void launch(const BatchNormInputGradient&, LaunchStream);

namespace testing::batch_norm {

struct Size {
  std::int64_t rows, channels;
};
/// One row, one channel, one thread a row, several slices, several groups of slices, channels on and off multiples of
/// 4 and 8, several tiles.
inline const std::vector<Size> kSizes{{1, 8},    {37, 5},   {130, 64}, {600, 24}, {9000, 16},
                                      {50, 300}, {5000, 8}, {33, 1},   {70, 520}, {2100, 3}};
/// For 16-bit types more rows than the slices of a pass can have at once, the last small and the first large sizes, on
/// and off multiples of 8 channels.
inline const std::vector<Size> kLargeSizes{{131'072, 16},  {16'384, 48},   {2'040, 2'056},
                                           {2'041, 2'056}, {1'500, 2'801}, {524'289, 8}};

inline constexpr double kEps = 1e-5;

inline std::vector<double> column(const Guarded& x, Size size, std::int64_t c) {
  std::vector<double> values;
  for (std::int64_t r = 0; r < size.rows; ++r) values.push_back(x[r * size.channels + c]);
  return values;
}

struct Statistics {
  double mean, var;
};
inline Statistics statistics_of(const std::vector<double>& values) {
  double mean = 0, var = 0;
  for (const double v : values) mean += v;
  mean /= static_cast<double>(values.size());
  for (const double v : values) var += (v - mean) * (v - mean);
  return {mean, var / static_cast<double>(values.size())};
}

inline std::string describe(DType dtype, Size size) {
  return std::string(name_of(dtype)) + " [" + std::to_string(size.rows) + "," + std::to_string(size.channels) + "]";
}

struct Problem {
  Size size;
  DType dtype;
  Guarded x, residual, dy, dy2, gamma, beta, scratch;

  Problem(Size s, DType type, double mean = 0.3, bool misaligned = false)
      : size(s),
        dtype(type),
        x(random_guarded(type, s.rows * s.channels, 1, mean, 1, misaligned)),
        residual(random_guarded(type, s.rows * s.channels, 2)),
        dy(random_guarded(type, s.rows * s.channels, 3)),
        dy2(random_guarded(type, s.rows * s.channels, 4)),
        gamma(random_guarded(DType::f32, s.channels, 5, 1, 0.3)),
        beta(random_guarded(DType::f32, s.channels, 6)),
        scratch(DType::f32, static_cast<std::int64_t>(batch_norm_scratch_bytes(type, s.rows, s.channels) / 4)) {}

  std::int64_t elements() const { return size.rows * size.channels; }
  /// What a value of magnitude about `scale` may be off by.
  double tolerance(double scale) const { return scale * (rounding_of(dtype) * 1.01 + 2e-6); }
};

struct Outputs {
  Guarded y, mean, inv_std, batch_mean, batch_var;
  explicit Outputs(const Problem& p)
      : y(p.dtype, p.elements()),
        mean(DType::f32, p.size.channels),
        inv_std(DType::f32, p.size.channels),
        batch_mean(DType::f32, p.size.channels),
        batch_var(DType::f32, p.size.channels) {}
};

inline BatchNorm forward_of(Problem& p, Outputs& out, bool relu, bool residual) {
  return {.dtype = p.dtype,
          .rows = p.size.rows,
          .channels = p.size.channels,
          .x = p.x.data(),
          .residual = residual ? p.residual.data() : nullptr,
          .gamma = p.gamma.as<float>(),
          .beta = p.beta.as<float>(),
          .y = out.y.data(),
          .mean = out.mean.as<float>(),
          .inv_std = out.inv_std.as<float>(),
          .batch_mean = out.batch_mean.as<float>(),
          .batch_var = out.batch_var.as<float>(),
          .eps = static_cast<float>(kEps),
          .relu = relu,
          .scratch = p.scratch.data()};
}

}  // namespace testing::batch_norm
}  // namespace athanor::kernels::cuda
