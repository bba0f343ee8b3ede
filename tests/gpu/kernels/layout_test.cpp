// Reorder, window copies and input preparation, against plain loops and the CPU's kernels.
#include "gpu/kernels/guarded.h"
#include "kernels/copy_window.h"
#include "kernels/cuda/copy_window.h"
#include "kernels/cuda/prepare_input.h"
#include "kernels/cuda/reorder.h"
#include "kernels/prepare_input.h"

namespace athanor::kernels::cuda::testing {
namespace {

struct Order {
  bool channels_last;
  std::int64_t block;
  std::int64_t channels(std::int64_t used) const { return (used + block - 1) / block * block; }
};
constexpr Order kOrders[] = {{false, 1}, {true, 1}, {true, 4}, {true, 8}};

std::int64_t place(const Order& order, std::int64_t channels, std::int64_t pixels, std::int64_t n, std::int64_t c,
                   std::int64_t p) {
  const std::int64_t stored = order.channels(channels);
  return order.channels_last ? (n * pixels + p) * stored + c : (n * stored + c) * pixels + p;
}

void check_reorder(DType from, DType to, const Order& source, const Order& target, std::int64_t batch,
                   std::int64_t channels, std::int64_t pixels) {
  Guarded x(from, batch * source.channels(channels) * pixels), y(to, batch * target.channels(channels) * pixels);
  x.fill_random(7);
  for (std::int64_t n = 0; n < batch; ++n)
    for (std::int64_t c = channels; c < source.channels(channels); ++c)
      for (std::int64_t p = 0; p < pixels; ++p) x.set(place(source, channels, pixels, n, c, p), 0);
  run(Reorder{from,
              to,
              x.data(),
              y.data(),
              batch,
              channels,
              pixels,
              {source.channels_last, source.channels(channels)},
              {target.channels_last, target.channels(channels)}});
  for (std::int64_t n = 0; n < batch; ++n)
    for (std::int64_t c = 0; c < target.channels(channels); ++c)
      for (std::int64_t p = 0; p < pixels; ++p) {
        const double want = c < channels ? y.rounded(x[place(source, channels, pixels, n, c, p)]) : 0.0;
        ASSERT_EQ(y[place(target, channels, pixels, n, c, p)], want) << n << " " << c << " " << p;
      }
}

TEST(GpuReorder, MovesAnyLayoutToAnyOther) {
  in_both_orders([] {
    for (const Order& source : kOrders)
      for (const Order& target : kOrders)
        for (const std::int64_t channels : {1, 3, 8, 33, 70})
          for (const std::int64_t pixels : {1, 9, 35, 64}) {
            SCOPED_TRACE(::testing::Message() << channels << " channels, " << pixels << " pixels");
            check_reorder(DType::f32, DType::bf16, source, target, 3, channels, pixels);
            check_reorder(DType::f16, DType::f32, source, target, 2, channels, pixels);
          }
  });
}

TEST(GpuReorder, ConvertsAnyTypeToAnyOther) {
  for (const DType from : kFloatTypes)
    for (const DType to : kFloatTypes) check_reorder(from, to, kOrders[0], kOrders[2], 2, 6, 10);
}

Image image(std::int64_t batch, std::int64_t channels, std::int64_t height, std::int64_t width) {
  return {{batch, 1, height * width, channels}, channels, height, width};
}

/// The CPU has no 16-bit type but bf16: all move the same bits.
void check_copy(WindowCopy copy, DType dtype, bool shift) {
  Guarded from(dtype, copy.source.elements(), shift), to(dtype, copy.target.elements()),
      want(dtype, copy.target.elements());
  from.fill_random(9);
  copy.dtype = dtype;
  copy.from = from.data();
  copy.to = to.data();
  run(CopyWindow{copy});
  copy.dtype = dtype == DType::f16 ? DType::bf16 : dtype;
  copy.to = want.data();
  copy_kernels().copy_window(copy);
  ASSERT_EQ(std::memcmp(to.data(), want.data(), static_cast<std::size_t>(to.count()) * size_of(dtype)), 0)
      << name_of(dtype) << " " << copy.source.lanes << " to " << copy.target.lanes << " channels";
}

TEST(GpuCopyWindow, AgreesWithTheCpu) {
  for (const DType dtype : kFloatTypes)
    for (const bool shift : {false, true})
      for (const std::int64_t c : {3, 8, 16, 18}) {
        const Image small = image(2, c, 5, 7), large = image(2, c, 9, 10), wide = image(2, 3 * c, 3, 4);
        check_copy(pad_of(dtype, small, large, 1, 2), dtype, shift);
        check_copy(pad_backward_of(dtype, large, small, 1, 2), dtype, shift);
        check_copy(shortcut_a_of(dtype, small, wide, 2), dtype, shift);
        check_copy(shortcut_a_backward_of(dtype, wide, small, 2), dtype, shift);
        check_copy(concat_of(dtype, image(2, c, 3, 4), wide, c), dtype, shift);
        check_copy(concat_of(dtype, image(2, c, 3, 4), wide, 2 * c), dtype, shift);
        check_copy(split_of(dtype, wide, image(2, c, 3, 4), c), dtype, shift);
      }
}

TEST(GpuPrepareInput, HasTheBitsOfTheCpu) {
  constexpr std::int64_t kBatch = 5, kHeight = 9, kWidth = 11;
  RandomStream stream(3, Purpose::test, 0, 0);
  for (const std::int64_t channels : {1, 3, 4, 16})
    for (const std::int64_t stored :
         {channels, std::max(channels, std::int64_t{4}), std::max(channels, std::int64_t{8})})
      for (const DType dtype : {DType::f32, DType::bf16}) {
        std::vector<std::uint8_t> images(static_cast<std::size_t>(kBatch * channels * kHeight * kWidth));
        for (std::uint8_t& pixel : images) pixel = static_cast<std::uint8_t>(stream.below(256));
        std::vector<SampleTransform> transforms(kBatch);
        for (SampleTransform& t : transforms) {
          t = {.offset_y = static_cast<std::int16_t>(stream.below(9)),
               .offset_x = static_cast<std::int16_t>(stream.below(9)),
               .cutout_y0 = 2,
               .cutout_y1 = static_cast<std::int16_t>(stream.below(9)),
               .cutout_x0 = 3,
               .cutout_x1 = static_cast<std::int16_t>(stream.below(11)),
               .flip = stream.below(2) == 1};
          t.offset_y = static_cast<std::int16_t>(t.offset_y - 4);
          t.offset_x = static_cast<std::int16_t>(t.offset_x - 4);
        }
        float mean[16], std[16];
        for (int c = 0; c < 16; ++c) {
          mean[c] = 0.4f + 0.0123f * static_cast<float>(c);
          std[c] = 0.2f + 0.0321f * static_cast<float>(c);
        }
        for (const SampleTransform* given : std::initializer_list<const SampleTransform*>{nullptr, transforms.data()}) {
          Guarded y(dtype, kBatch * stored * kHeight * kWidth), want(dtype, y.count());
          PrepareInput args{.dtype = dtype,
                            .batch = kBatch,
                            .channels = static_cast<std::int32_t>(channels),
                            .stored = static_cast<std::int32_t>(stored),
                            .height = kHeight,
                            .width = kWidth,
                            .images = images.data(),
                            .transforms = given,
                            .y = y.data()};
          std::copy(mean, mean + channels, args.mean);
          std::copy(std, std + channels, args.std);
          run(args);
          const kernels::PrepareInput cpu{.view = {kBatch, 1, kHeight * kWidth, stored},
                                          .dtype = dtype,
                                          .channels = channels,
                                          .height = kHeight,
                                          .width = kWidth,
                                          .images = images.data(),
                                          .transforms = given,
                                          .mean = mean,
                                          .std = std,
                                          .y = want.data()};
          prepare_input_kernels().prepare_input(cpu);
          ASSERT_EQ(std::memcmp(y.data(), want.data(), static_cast<std::size_t>(y.count()) * size_of(dtype)), 0)
              << channels << " channels in " << stored << " " << name_of(dtype);
        }
      }
}

}  // namespace
}  // namespace athanor::kernels::cuda::testing
