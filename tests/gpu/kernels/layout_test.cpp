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
              1,
              pixels,
              {source.channels_last, source.channels(channels), 1, pixels},
              {target.channels_last, target.channels(channels), 1, pixels}});
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

/// Any order with its pixels: where an element lies, or -1: nowhere.
struct Pixels {
  std::int64_t batch, channels, height, width;
  std::int64_t elements(const ChannelOrder& order) const { return batch * order.channels * order.height * order.width; }
  std::int64_t place(const ChannelOrder& order, std::int64_t n, std::int64_t c, std::int64_t y, std::int64_t x) const {
    if (!order.channels_last) return ((n * channels + c) * height + y) * width + x;
    y += order.front;
    x += order.front;
    const std::int64_t part = y % order.fold * order.fold + x % order.fold;
    return ((n * order.height + y / order.fold) * order.width + x / order.fold) * order.channels + part * channels + c;
  }
  template <typename Visit>
  void for_each(Visit visit) const {
    for (std::int64_t n = 0; n < batch; ++n)
      for (std::int64_t c = 0; c < channels; ++c)
        for (std::int64_t y = 0; y < height; ++y)
          for (std::int64_t x = 0; x < width; ++x) visit(n, c, y, x);
  }
};

/// Unused places of x hold NaN, and of y become zero.
void check_folding(DType from, DType to, const Pixels& pixels, const ChannelOrder& source, const ChannelOrder& target) {
  Guarded x(from, pixels.elements(source)), y(to, pixels.elements(target));
  std::vector<double> want(static_cast<std::size_t>(y.count()));
  RandomStream stream(11, Purpose::test, 0, 0);
  pixels.for_each([&](auto n, auto c, auto row, auto column) {
    const std::int64_t at = pixels.place(source, n, c, row, column);
    x.set(at, stream.below(1000) / 500.0 - 1);
    want[static_cast<std::size_t>(pixels.place(target, n, c, row, column))] = y.rounded(x[at]);
  });
  run(Reorder{from, to, x.data(), y.data(), pixels.batch, pixels.channels, pixels.height, pixels.width, source,
              target});
  for (std::int64_t i = 0; i < y.count(); ++i) ASSERT_EQ(y[i], want[static_cast<std::size_t>(i)]) << "place " << i;
}

TEST(GpuReorder, FoldsAndUnfolds) {
  for (const std::int64_t channels : {1, 3, 4}) {
    const Pixels weights{5, channels, 7, 7}, images{2, channels, 8, 6};
    const std::int64_t stored = channels < 3 ? 8 : 16;
    const ChannelOrder folded_weights{true, stored, 4, 4, 2, 1}, folded_images{true, stored, 7, 6, 2, 4};
    for (const auto& [pixels, folded] : {std::pair{weights, folded_weights}, {images, folded_images}}) {
      const ChannelOrder plain{false, channels, pixels.height, pixels.width};
      ChannelOrder last = plain, padded = plain;
      last.channels_last = padded.channels_last = true;
      padded.channels = 8;
      for (const ChannelOrder& other : {plain, last, padded}) {
        check_folding(DType::f32, DType::f16, pixels, other, folded);
        check_folding(DType::f32, DType::f32, pixels, other, folded);
        check_folding(DType::bf16, DType::f32, pixels, folded, other);
      }
    }
  }
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

/// Of images of at least 8 × 8.
std::vector<SampleTransform> random_transforms(RandomStream& stream, std::size_t count) {
  std::vector<SampleTransform> transforms(count);
  for (SampleTransform& t : transforms) {
    t = {.offset_y = static_cast<std::int16_t>(stream.below(9)),
         .offset_x = static_cast<std::int16_t>(stream.below(9)),
         .cutout_y0 = 2,
         .cutout_y1 = static_cast<std::int16_t>(stream.below(9)),
         .cutout_x0 = 3,
         .cutout_x1 = static_cast<std::int16_t>(stream.below(9)),
         .flip = stream.below(2) == 1};
    t.offset_y = static_cast<std::int16_t>(t.offset_y - 4);
    t.offset_x = static_cast<std::int16_t>(t.offset_x - 4);
  }
  return transforms;
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
        const std::vector<SampleTransform> transforms = random_transforms(stream, kBatch);
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
                            .height = kHeight,
                            .width = kWidth,
                            .order = {true, stored, kHeight, kWidth},
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

/// What the unfolded kernel writes, moved.
TEST(GpuPrepareInput, FoldsWithTheSameBits) {
  RandomStream stream(5, Purpose::test, 0, 0);
  for (const std::int64_t channels : {1, 2, 3, 4})
    for (const DType dtype : kFloatTypes) {
      const Pixels pixels{3, channels, 8, 12};
      const std::int64_t stored = channels < 3 ? 8 : 16;
      // Of windows of 7 and of 5.
      for (const ChannelOrder& folded :
           {ChannelOrder{true, stored, 7, 9, 2, 4}, ChannelOrder{true, stored, 6, 8, 2, 2}}) {
        const ChannelOrder last{true, channels, pixels.height, pixels.width};
        std::vector<std::uint8_t> images(static_cast<std::size_t>(pixels.elements(last)));
        for (std::uint8_t& pixel : images) pixel = static_cast<std::uint8_t>(stream.below(256));
        const std::vector<SampleTransform> transforms = random_transforms(stream, 3);
        Guarded y(dtype, pixels.elements(folded)), unfolded(dtype, pixels.elements(last));
        PrepareInput args{.dtype = dtype,
                          .batch = pixels.batch,
                          .channels = static_cast<std::int32_t>(channels),
                          .height = static_cast<std::int32_t>(pixels.height),
                          .width = static_cast<std::int32_t>(pixels.width),
                          .order = folded,
                          .images = images.data(),
                          .transforms = transforms.data(),
                          .mean = {0.4f, 0.5f, 0.6f, 0.7f},
                          .std = {0.2f, 0.3f, 0.4f, 0.5f},
                          .y = y.data()};
        run(args);
        args.order = last;
        args.y = unfolded.data();
        run(args);
        std::vector<double> want(static_cast<std::size_t>(y.count()));
        pixels.for_each([&](auto n, auto c, auto row, auto column) {
          want[static_cast<std::size_t>(pixels.place(folded, n, c, row, column))] =
              unfolded[pixels.place(last, n, c, row, column)];
        });
        ASSERT_EQ(y.values(), want) << channels << " channels " << name_of(dtype);
      }
    }
}

}  // namespace
}  // namespace athanor::kernels::cuda::testing
