#include "kernels/prepare_input.h"

#include <type_traits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"

namespace athanor::kernels::ATHANOR_ISA {
namespace {

/// One channel of one image; `table` holds the normalised value of each raw one.
template <typename T>
void prepare_plane(const PrepareInput& args, const SampleTransform& t, const T* table, const std::uint8_t* image,
                   T* to) {
  const std::int64_t pitch = args.view.lanes, width = args.width;
  for (std::int64_t y = 0; y < args.height; ++y) {
    const std::int64_t sy = y + t.offset_y;
    T* row = to + y * width * pitch;
    if (sy < 0 || sy >= args.height) {
      for (std::int64_t x = 0; x < width; ++x) row[x * pitch] = table[0];
    } else {
      const std::uint8_t* source = image + sy * width;
      const std::int64_t step = t.flip ? -1 : 1, start = (t.flip ? width - 1 : 0) + t.offset_x;
      for (std::int64_t x = 0; x < width; ++x) {
        const std::int64_t sx = start + step * x;
        row[x * pitch] = table[sx >= 0 && sx < width ? source[sx] : 0];
      }
    }
    if (y >= t.cutout_y0 && y < t.cutout_y1) {
      for (std::int64_t x = t.cutout_x0; x < t.cutout_x1; ++x) put(row[x * pitch], 0.0f);
    }
  }
}

void prepare_input(const PrepareInput& args) {
  const ChannelView& view = args.view;
  with_type(args.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    parallel_ranges(args.threads, view.batch, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t c = 0; c < view.channels(); ++c) {
        T table[256];
        for (int p = 0; c < args.channels && p < 256; ++p) {
          const double normal = (p / 255.0 - static_cast<double>(args.mean[c])) / static_cast<double>(args.std[c]);
          put(table[p], static_cast<float>(normal));
        }
        for (std::int64_t n = begin; n < end; ++n) {
          const std::int64_t group = n * view.groups + c / view.lanes;
          T* to = static_cast<T*>(args.y) + group * view.pixels * view.lanes + c % view.lanes;
          if (c >= args.channels) {
            for (std::int64_t p = 0; p < view.pixels; ++p) put(to[p * view.lanes], 0.0f);
            continue;
          }
          const std::uint8_t* image = args.images + (n * args.channels + c) * args.height * args.width;
          prepare_plane(args, args.transforms ? args.transforms[n] : SampleTransform{}, table, image, to);
        }
      }
    });
  });
}

}  // namespace

extern const PrepareInputKernels prepare_input_table = {prepare_input};

}  // namespace athanor::kernels::ATHANOR_ISA
