// Layer and group normalisation against the CPU's kernels, which the double reference has checked.
#include "kernels/group_norm.h"

#include "gpu/kernels/guarded.h"
#include "kernels/cuda/group_norm.h"

namespace athanor::kernels::cuda {

void launch(const GroupNorm&, LaunchStream);
void launch(const GroupNormBackward&, LaunchStream);

namespace testing::group_norm {
namespace {

const std::vector<NormGroups> kShapes{{.batch = 3, .groups = 4, .group_channels = 4, .pixels = 9},
                                      {.batch = 2, .groups = 3, .group_channels = 5, .pixels = 7},
                                      {.batch = 5, .groups = 1, .group_channels = 33, .pixels = 1},
                                      {.batch = 90, .groups = 1, .group_channels = 300, .pixels = 1},
                                      {.batch = 40, .groups = 2, .group_channels = 4, .pixels = 60}};

/// [N, pixels, C] as [N, C, pixels] or back.
Guarded transposed(Guarded& values, std::int64_t batch, std::int64_t rows, std::int64_t columns) {
  Guarded result(DType::f32, values.count());
  for (std::int64_t n = 0; n < batch; ++n) {
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < columns; ++c)
        result.set((n * columns + c) * rows + r, values[(n * rows + r) * columns + c]);
    }
  }
  return result;
}

TEST(GroupNormKernel, AndItsGradient) {
  for (const DType dtype : kFloatTypes) {
    for (NormGroups shape : kShapes) {
      shape.dtype = dtype;
      const std::int64_t channels = shape.groups * shape.group_channels, count = shape.batch * shape.pixels * channels;
      const GroupNormShape cpu{shape.batch, shape.groups, shape.group_channels, shape.pixels};
      const std::int64_t items = shape.batch * shape.groups;
      Guarded x = random_guarded(dtype, count, 1, 5), dy = random_guarded(dtype, count, 2);
      Guarded gamma = random_guarded(DType::f32, channels, 3, 1, 0.3), beta = random_guarded(DType::f32, channels, 4);
      Guarded wide = transposed(x, shape.batch, shape.pixels, channels);
      Guarded wide_dy = transposed(dy, shape.batch, shape.pixels, channels);
      Guarded y(dtype, count), mean(DType::f32, items), inv_std(DType::f32, items);
      Guarded right_y(DType::f32, count), right_mean(DType::f32, items), right_inv_std(DType::f32, items);
      group_norm_kernels().forward({.shape = cpu,
                                    .x = wide.data(),
                                    .gamma = gamma.as<float>(),
                                    .beta = beta.as<float>(),
                                    .y = right_y.data(),
                                    .mean = right_mean.as<float>(),
                                    .inv_std = right_inv_std.as<float>()});
      launch(GroupNorm{.shape = shape,
                       .x = x.data(),
                       .gamma = gamma.as<float>(),
                       .beta = beta.as<float>(),
                       .y = y.data(),
                       .mean = mean.as<float>(),
                       .inv_std = inv_std.as<float>()},
             nullptr);
      const double relative = rounding_of(dtype) + 2e-6;
      expect_near(mean, right_mean.values(), 1e-6, 1e-6, "mean");
      expect_near(inv_std, right_inv_std.values(), 0, 1e-5, "inv_std");
      expect_near(y, transposed(right_y, shape.batch, channels, shape.pixels).values(), 5e-6, relative, "y");

      Guarded dx(dtype, count), dgamma(DType::f32, channels), dbeta(DType::f32, channels);
      Guarded right_dx(DType::f32, count), right_dgamma(DType::f32, channels), right_dbeta(DType::f32, channels);
      Guarded scratch(DType::f32, static_cast<std::int64_t>(group_norm_scratch_bytes(shape) / sizeof(float)));
      group_norm_kernels().backward({.shape = cpu,
                                     .dy = wide_dy.data(),
                                     .x = wide.data(),
                                     .gamma = gamma.as<float>(),
                                     .mean = right_mean.as<float>(),
                                     .inv_std = right_inv_std.as<float>(),
                                     .dx = right_dx.data(),
                                     .dgamma = right_dgamma.as<float>(),
                                     .dbeta = right_dbeta.as<float>()});
      GroupNormBackward args{.shape = shape,
                             .dy = dy.data(),
                             .x = x.data(),
                             .gamma = gamma.as<float>(),
                             .mean = mean.as<float>(),
                             .inv_std = inv_std.as<float>(),
                             .dx = dx.data(),
                             .dgamma = dgamma.as<float>(),
                             .dbeta = dbeta.as<float>(),
                             .scratch = scratch.data()};
      launch(args, nullptr);
      const double sums = 1e-5 * std::sqrt(static_cast<double>(shape.batch * shape.pixels));
      expect_near(dgamma, right_dgamma.values(), sums, 1e-5, "dgamma");
      expect_near(dbeta, right_dbeta.values(), sums, 1e-5, "dbeta");
      expect_near(dx, transposed(right_dx, shape.batch, channels, shape.pixels).values(), 1e-5, relative, "dx");
      args.dx = dy.data();
      launch(args, nullptr);
      EXPECT_TRUE(dy.same_bits(dx));
    }
  }
}

}  // namespace
}  // namespace testing::group_norm
}  // namespace athanor::kernels::cuda
