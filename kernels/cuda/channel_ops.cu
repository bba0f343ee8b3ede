// A block takes one image's tile of channels: threads along x hold neighbouring channels, threads along y take turns
// over the pixels, and their sums meet in shared memory in the order of y.
#include "kernels/cuda/channel_ops.h"

#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda {
namespace {

constexpr int kThreads = 256;

/// How a block is cut; from the number of packs of channels alone.
struct Tile {
  int lanes = 1;  ///< threads along x: packs of channels
  explicit Tile(std::int64_t packs) {
    while (lanes < 32 && lanes < packs) lanes *= 2;
  }
  Dim3 block() const { return Dim3(static_cast<unsigned>(lanes), static_cast<unsigned>(kThreads / lanes)); }
};

/// sums = factor · Σ dy · x; without kScale: factor · Σ dy, and x, s and dx are null. With kScale also dx = dy · s.
/// dx and sums may be null.
template <typename T, int kPack, bool kScale>
ATHANOR_KERNEL __launch_bounds__(kThreads) sum_pixels(const T* dy, const T* x, const T* s, T* dx, T* sums,
                                                      std::int64_t pixels, std::int64_t channels, float factor) {
  float* const shared = dynamic_shared<float>();
  const std::int64_t pack = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t n = blockIdx.y;
  const std::int64_t first = n * pixels * channels + pack * kPack;
  const bool is_inside = pack * kPack < channels;
  float total[kPack] = {};
  if (is_inside) {
    Pack<T, kPack> gate{};
    if (kScale && dx != nullptr) gate = load_pack<kPack>(s + n * channels + pack * kPack);
    for (std::int64_t p = threadIdx.y; p < pixels; p += blockDim.y) {
      const auto value = load_pack<kPack>(dy + first + p * channels);
      if constexpr (kScale) {
        const auto other = load_pack<kPack>(x + first + p * channels);
        Pack<T, kPack> out;
        for (int k = 0; k < kPack; ++k) {
          total[k] += load_float(value[k]) * load_float(other[k]);
          out[k] = store_as<T>(load_float(value[k]) * load_float(gate[k]));
        }
        if (dx != nullptr) store_pack(dx + first + p * channels, out);
      } else {
        for (int k = 0; k < kPack; ++k) total[k] += load_float(value[k]);
      }
    }
  }
  if (sums == nullptr) return;
  const unsigned slot = (threadIdx.y * blockDim.x + threadIdx.x) * kPack;
  for (int k = 0; k < kPack; ++k) shared[slot + k] = total[k];
  __syncthreads();
  if (threadIdx.y != 0 || !is_inside) return;
  Pack<T, kPack> result;
  for (int k = 0; k < kPack; ++k) {
    float sum = 0;
    for (unsigned row = 0; row < blockDim.y; ++row) sum += shared[(row * blockDim.x + threadIdx.x) * kPack + k];
    result[k] = store_as<T>(sum * factor);
  }
  store_pack(sums + n * channels + pack * kPack, result);
}

/// y = x · s[n, c], or without x: y = s[n, c] · factor. `Index` holds `count` packs.
template <typename T, int kPack, bool kScale, typename Index>
ATHANOR_KERNEL __launch_bounds__(kThreads)
    spread(const T* x, const T* s, T* y, Index pixels, Index packs, Index count, float factor) {
  for (Index i = static_cast<Index>(grid_thread()); i < count; i += static_cast<Index>(grid_threads())) {
    const Index row = i / packs, pack = i % packs;
    const auto gate = load_pack<kPack>(s + static_cast<std::int64_t>(row / pixels * packs + pack) * kPack);
    Pack<T, kPack> value{}, out;
    if constexpr (kScale) value = load_pack<kPack>(x + static_cast<std::int64_t>(i) * kPack);
    for (int k = 0; k < kPack; ++k) {
      out[k] = store_as<T>((kScale ? load_float(value[k]) : factor) * load_float(gate[k]));
    }
    store_pack(y + static_cast<std::int64_t>(i) * kPack, out);
  }
}

template <typename T, int kPack, bool kScale>
void launch_sum(const ChannelShape& shape, const void* dy, const void* x, const void* s, void* dx, void* sums,
                float factor, LaunchStream stream) {
  const std::int64_t packs = shape.channels / kPack;
  const Tile tile(packs);
  const auto across = static_cast<unsigned>((packs + tile.lanes - 1) / tile.lanes);
  constexpr std::int64_t kMost = 32768;  // a grid's second dimension ends at 65,535
  for (std::int64_t first = 0; first < shape.batch; first += kMost) {
    const std::int64_t images = shape.batch - first < kMost ? shape.batch - first : kMost;
    const std::int64_t image = first * shape.pixels * shape.channels, row = first * shape.channels;
    const auto at = [](auto* base, std::int64_t offset) { return base == nullptr ? base : base + offset; };
    launch_kernel(sum_pixels<T, kPack, kScale>, Dim3(across, static_cast<unsigned>(images)), tile.block(),
                  kThreads * kPack * sizeof(float), stream, at(static_cast<const T*>(dy), image),
                  at(static_cast<const T*>(x), image), at(static_cast<const T*>(s), row),
                  at(static_cast<T*>(dx), image), at(static_cast<T*>(sums), row), shape.pixels, shape.channels, factor);
  }
}

template <typename T, int kPack, bool kScale>
void launch_spread(const ChannelShape& shape, const void* x, const void* s, void* y, float factor,
                   LaunchStream stream) {
  const std::int64_t packs = shape.channels / kPack, count = shape.batch * shape.pixels * packs;
  const auto run = [&]<typename Index>(Index) {
    launch_independent(spread<T, kPack, kScale, Index>, grid_for(count, kThreads), kThreads, 0, stream,
                       static_cast<const T*>(x), static_cast<const T*>(s), static_cast<T*>(y),
                       static_cast<Index>(shape.pixels), static_cast<Index>(packs), static_cast<Index>(count), factor);
  };
  if (count < (std::int64_t{1} << 31)) return run(std::uint32_t{});
  run(std::uint64_t{});
}

/// Runs `f.template operator()<T, kPack>()` with the widest packs that the channels and pointers allow.
template <typename F>
void with_pack(const ChannelShape& shape, std::initializer_list<const void*> pointers, F&& f) {
  with_type(shape.dtype, [&]<typename T>() {
    bool fits = shape.channels % kPackOf<T> == 0;
    for (const void* pointer : pointers) fits = fits && is_aligned(pointer, 16);
    if (fits) return f.template operator()<T, kPackOf<T>>();
    f.template operator()<T, 1>();
  });
}

}  // namespace

void launch(const GlobalAvgPool& pool, LaunchStream stream) {
  with_pack(pool.shape, {pool.x, pool.y}, [&]<typename T, int kPack>() {
    launch_sum<T, kPack, false>(pool.shape, pool.x, nullptr, nullptr, nullptr, pool.y,
                                1.0f / static_cast<float>(pool.shape.pixels), stream);
  });
}

void launch(const GlobalAvgPoolBackward& pool, LaunchStream stream) {
  with_pack(pool.shape, {pool.dy, pool.dx}, [&]<typename T, int kPack>() {
    launch_spread<T, kPack, false>(pool.shape, nullptr, pool.dy, pool.dx, 1.0f / static_cast<float>(pool.shape.pixels),
                                   stream);
  });
}

void launch(const ChannelScale& scale, LaunchStream stream) {
  with_pack(scale.shape, {scale.x, scale.s, scale.y}, [&]<typename T, int kPack>() {
    launch_spread<T, kPack, true>(scale.shape, scale.x, scale.s, scale.y, 1.0f, stream);
  });
}

void launch(const ChannelScaleBackward& scale, LaunchStream stream) {
  with_pack(scale.shape, {scale.dy, scale.x, scale.s, scale.dx, scale.ds}, [&]<typename T, int kPack>() {
    launch_sum<T, kPack, true>(scale.shape, scale.dy, scale.x, scale.s, scale.dx, scale.ds, 1.0f, stream);
  });
}

}  // namespace athanor::kernels::cuda
