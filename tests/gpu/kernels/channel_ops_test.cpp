// Global average pool, channel scale, dropout and stochastic depth.
#include "kernels/cuda/channel_ops.h"

#include "gpu/kernels/guarded.h"
#include "kernels/cuda/random.h"
#include "kernels/dropout.h"

namespace athanor::kernels::cuda::testing {
namespace {

struct Sizes {
  std::int64_t batch, pixels, channels;
};
constexpr Sizes kSizes[] = {{3, 49, 64}, {2, 1, 10}, {1, 64, 7}, {2, 5, 520}, {4, 300, 16}};

template <typename Check>
void for_shapes(Check&& check) {
  in_both_orders([&] {
    for (const DType dtype : kFloatTypes)
      for (const Sizes& size : kSizes) {
        SCOPED_TRACE(::testing::Message()
                     << name_of(dtype) << " [" << size.batch << ", " << size.pixels << ", " << size.channels << "]");
        check(ChannelShape{dtype, size.batch, size.pixels, size.channels});
      }
  });
}

TEST(GpuChannelOps, PoolIsTheMean) {
  for_shapes([](const ChannelShape& s) {
    Guarded x(s.dtype, s.batch * s.pixels * s.channels), y(s.dtype, s.batch * s.channels);
    x.fill_random(1);
    run(GlobalAvgPool{s, x.data(), y.data()});
    for (std::int64_t n = 0; n < s.batch; ++n)
      for (std::int64_t c = 0; c < s.channels; ++c) {
        double sum = 0;
        for (std::int64_t p = 0; p < s.pixels; ++p) sum += x[(n * s.pixels + p) * s.channels + c];
        const double want = sum / static_cast<double>(s.pixels);
        ASSERT_NEAR(y[n * s.channels + c], want, rounding_of(s.dtype) * std::abs(want) + 1e-6);
      }
  });
}

TEST(GpuChannelOps, GradientsOfPoolAndScale) {
  for_shapes([](const ChannelShape& s) {
    const std::int64_t count = s.batch * s.pixels * s.channels;
    Guarded x(s.dtype, count), dy(s.dtype, count), gate(s.dtype, s.batch * s.channels);
    Guarded y(s.dtype, count), dx(s.dtype, count), spread(s.dtype, count), dgate(s.dtype, s.batch * s.channels),
        lone(s.dtype, s.batch * s.channels);
    x.fill_random(1);
    dy.fill_random(2);
    gate.fill_random(3);
    run(ChannelScale{s, x.data(), gate.data(), y.data()});
    run(ChannelScaleBackward{s, dy.data(), x.data(), gate.data(), dx.data(), dgate.data()});
    run(ChannelScaleBackward{s, dy.data(), x.data(), gate.data(), nullptr, lone.data()});
    run(GlobalAvgPoolBackward{s, gate.data(), spread.data()});
    const float part = 1.0f / static_cast<float>(s.pixels);
    for (std::int64_t n = 0; n < s.batch; ++n)
      for (std::int64_t c = 0; c < s.channels; ++c) {
        double sum = 0, size = 0;
        for (std::int64_t p = 0; p < s.pixels; ++p) {
          const std::int64_t i = (n * s.pixels + p) * s.channels + c;
          const double g = gate[n * s.channels + c];
          ASSERT_EQ(y[i], y.rounded(x[i] * g));
          ASSERT_EQ(dx[i], dx.rounded(dy[i] * g));
          ASSERT_EQ(spread[i], spread.rounded(static_cast<float>(g) * part));
          sum += dy[i] * x[i];
          size += std::abs(dy[i] * x[i]);
        }
        ASSERT_NEAR(dgate[n * s.channels + c], sum, rounding_of(s.dtype) * std::abs(sum) + 1e-6 * size);
        ASSERT_EQ(dgate[n * s.channels + c], lone[n * s.channels + c]);
      }
  });
}

TEST(GpuDropout, HasTheMaskOfTheCpu) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Sizes& size : kSizes)
      for (const bool whole : {false, true}) {
        Guarded x(dtype, size.batch * size.pixels * size.channels), y(dtype, x.count()), want(dtype, x.count());
        x.fill_random(4);
        std::vector<std::int64_t> indices;
        for (std::int64_t n = 0; n < size.batch; ++n) indices.push_back(1000 * n + 17);
        const std::int64_t epoch = 6;
        run(Dropout{.dtype = dtype,
                    .whole_samples = whole,
                    .batch = size.batch,
                    .pixels = size.pixels,
                    .channels = size.channels,
                    .x = x.data(),
                    .y = y.data(),
                    .sample_indices = indices.data(),
                    .epoch = &epoch,
                    .seed = 5,
                    .key = 0x1234567890,
                    .rate = 0.3f});
        const kernels::Dropout cpu{.view = {size.batch, 1, size.pixels, size.channels},
                                   .dtype = dtype,
                                   .x = x.data(),
                                   .y = want.data(),
                                   .sample_indices = indices.data(),
                                   .seed = 5,
                                   .key = 0x1234567890,
                                   .epoch = 6,
                                   .rate = 0.3f};
        whole ? dropout_kernels().stochastic_depth(cpu) : dropout_kernels().dropout(cpu);
        for (std::int64_t i = 0; i < x.count(); ++i) ASSERT_EQ(y[i], want[i]) << whole << " element " << i;
      }
}

}  // namespace
}  // namespace athanor::kernels::cuda::testing
