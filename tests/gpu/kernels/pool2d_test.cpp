// Pooling's kernels against the CPU's, which the double reference has checked: equal winners and equal sums.
#include "kernels/pool2d.h"

#include "gpu/kernels/guarded.h"
#include "kernels/cuda/pool2d.h"

namespace athanor::kernels::cuda {

void launch(const MaxPool&, LaunchStream);
void launch(const MaxPoolBackward&, LaunchStream);
void launch(const AvgPool&, LaunchStream);
void launch(const AvgPoolBackward&, LaunchStream);

namespace testing::pool2d {
namespace {

const std::vector<PoolShape> kShapes{
    {.samples = 2,
     .channels = 8,
     .height = 7,
     .width = 9,
     .kernel_y = 3,
     .kernel_x = 3,
     .stride_y = 2,
     .stride_x = 2,
     .pad_y = 1,
     .pad_x = 1},
    {.samples = 1,
     .channels = 5,
     .height = 5,
     .width = 4,
     .kernel_y = 2,
     .kernel_x = 3,
     .stride_y = 1,
     .stride_x = 2,
     .pad_y = 1,
     .pad_x = 0},
    {.samples = 3, .channels = 24, .height = 6, .width = 6, .kernel_y = 2, .kernel_x = 2, .stride_y = 3, .stride_x = 3},
    {.samples = 2,
     .channels = 64,
     .height = 1,
     .width = 33,
     .kernel_y = 1,
     .kernel_x = 5,
     .stride_y = 1,
     .stride_x = 1,
     .pad_x = 2},
    {.samples = 1, .channels = 1, .height = 1, .width = 1},
};

PoolShape with_outputs(PoolShape shape, DType dtype) {
  shape.dtype = dtype;
  shape.out_height = (shape.height + 2 * shape.pad_y - shape.kernel_y) / shape.stride_y + 1;
  shape.out_width = (shape.width + 2 * shape.pad_x - shape.kernel_x) / shape.stride_x + 1;
  return shape;
}

Pool2d cpu_shape(const PoolShape& s, bool count_include_pad) {
  return {.input = {s.samples, 1, std::int64_t{s.height} * s.width, s.channels},
          .height = s.height,
          .width = s.width,
          .out_height = s.out_height,
          .out_width = s.out_width,
          .kernel_y = s.kernel_y,
          .kernel_x = s.kernel_x,
          .stride_y = s.stride_y,
          .stride_x = s.stride_x,
          .pad_y = s.pad_y,
          .pad_x = s.pad_x,
          .count_include_pad = count_include_pad};
}

template <typename Body>
void for_shapes(Body body) {
  for (const DType dtype : kFloatTypes) {
    for (const PoolShape& window : kShapes) {
      const PoolShape shape = with_outputs(window, dtype);
      body(shape, shape.samples * shape.height * shape.width * shape.channels,
           shape.samples * shape.out_height * shape.out_width * shape.channels);
    }
  }
}

TEST(MaxPoolKernel, HasTheWinnersOfTheCpu) {
  for_shapes([](const PoolShape& shape, std::int64_t inputs, std::int64_t outputs) {
    Guarded x = random_guarded(shape.dtype, inputs, 1), y(shape.dtype, outputs), indices(DType::i32, outputs);
    for (std::int64_t i = 0; i < inputs; i += 3) x.set(i, 0.5);  // ties
    if (inputs > 20) x.set(17, NAN);
    Guarded wide(DType::f32, x.values()), right(DType::f32, outputs), right_indices(DType::i32, outputs);
    pool2d_kernels().max_pool(cpu_shape(shape, true), wide.data(), right.data(), right_indices.as<std::int32_t>());
    launch(MaxPool{shape, x.data(), y.data(), indices.data()}, nullptr);
    EXPECT_TRUE(indices.same_bits(right_indices));
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(outputs));
    launch(MaxPool{shape, x.data(), y.data(), bytes.data(), DType::u8}, nullptr);
    for (std::int64_t i = 0; i < outputs; ++i) ASSERT_EQ(bytes[static_cast<std::size_t>(i)], indices[i]);
    for (std::int64_t i = 0; i < outputs; ++i) EXPECT_TRUE(y[i] == right[i] || (y[i] != y[i] && right[i] != right[i]));
    Guarded alone(shape.dtype, outputs);
    launch(MaxPool{shape, x.data(), alone.data(), nullptr}, nullptr);
    EXPECT_TRUE(alone.same_bits(y));

    Guarded dy = random_guarded(shape.dtype, outputs, 2), dx(shape.dtype, inputs);
    Guarded wide_dy(DType::f32, dy.values()), right_dx(DType::f32, inputs);
    pool2d_kernels().max_pool_backward(cpu_shape(shape, true), wide_dy.data(), right_indices.as<std::int32_t>(),
                                       right_dx.data());
    launch(MaxPoolBackward{shape, dy.data(), indices.data(), DType::i32, dx.data()}, nullptr);
    Guarded from_bytes(shape.dtype, inputs);
    launch(MaxPoolBackward{shape, dy.data(), bytes.data(), DType::u8, from_bytes.data()}, nullptr);
    EXPECT_TRUE(from_bytes.same_bits(dx));
    EXPECT_EQ(dx.values(), Guarded(shape.dtype, right_dx.values()).values());
  });
}

TEST(AvgPoolKernel, HasTheSumsOfTheCpu) {
  for (const bool count_include_pad : {false, true}) {
    for_shapes([&](const PoolShape& shape, std::int64_t inputs, std::int64_t outputs) {
      Guarded x = random_guarded(shape.dtype, inputs, 1, 0, 1, true), y(shape.dtype, outputs);
      Guarded wide(DType::f32, x.values()), right(DType::f32, outputs);
      pool2d_kernels().avg_pool(cpu_shape(shape, count_include_pad), wide.data(), right.data());
      launch(AvgPool{shape, count_include_pad, x.data(), y.data()}, nullptr);
      expect_near(y, right.values(), 1e-7, rounding_of(shape.dtype) + 1e-6, "avg_pool");

      Guarded dy = random_guarded(shape.dtype, outputs, 2), dx(shape.dtype, inputs);
      Guarded wide_dy(DType::f32, dy.values()), right_dx(DType::f32, inputs);
      pool2d_kernels().avg_pool_backward(cpu_shape(shape, count_include_pad), wide_dy.data(), right_dx.data());
      launch(AvgPoolBackward{shape, count_include_pad, dy.data(), dx.data()}, nullptr);
      expect_near(dx, right_dx.values(), 1e-6, rounding_of(shape.dtype) + 1e-6, "avg_pool_backward");
    });
  }
}

}  // namespace
}  // namespace testing::pool2d
}  // namespace athanor::kernels::cuda
