// Channels first to channels last and back go through tiles of shared memory, so that both sides are read and written
// in rows; other padding is a copy of rows. What is folded is small, but for an image that nobody prepared: its
// elements are found one by one.
#include "kernels/cuda/reorder.h"

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda {

void launch(const Cast&, LaunchStream);

namespace {

constexpr int kTile = 32, kTileRows = 8, kThreads = 256;

/// One tile of the transposition x [batch][rows][pitch_x] → y [batch][columns][pitch_y], where x has `columns` columns
/// in use and y `rows`, and the rest of y's pitch is zero. Tiles: x over the columns, y over y's pitch, z over the
/// batch.
template <typename From, typename To>
ATHANOR_KERNEL __launch_bounds__(kTile* kTileRows)
    transpose(const From* x, To* y, std::int64_t batch, std::int64_t rows, std::int64_t columns, std::int64_t pitch_x,
              std::int64_t pitch_y) {
  ATHANOR_SHARED float tile[kTile][kTile + 1];
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kTile;
  for (std::int64_t n = blockIdx.z; n < batch; n += gridDim.z) {
    for (std::int64_t row = static_cast<std::int64_t>(blockIdx.y) * kTile; row < pitch_y;
         row += static_cast<std::int64_t>(gridDim.y) * kTile) {
      for (int i = static_cast<int>(threadIdx.y); i < kTile; i += kTileRows) {
        const std::int64_t r = row + i, c = column + threadIdx.x;
        tile[i][threadIdx.x] = r < rows && c < columns ? load_float(x[(n * rows + r) * pitch_x + c]) : 0.0f;
      }
      __syncthreads();
      for (int i = static_cast<int>(threadIdx.y); i < kTile; i += kTileRows) {
        const std::int64_t c = column + i, r = row + threadIdx.x;
        if (c < columns && r < pitch_y) y[(n * columns + c) * pitch_y + r] = store_as<To>(tile[threadIdx.x][i]);
      }
      __syncthreads();
    }
  }
}

/// Rows of `used` channels from pitch to pitch.
template <typename From, typename To>
ATHANOR_KERNEL __launch_bounds__(kThreads)
    copy_rows(const From* x, To* y, std::int64_t count, std::int64_t used, std::int64_t pitch_x, std::int64_t pitch_y) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t row = i / pitch_y, c = i % pitch_y;
    y[i] = store_as<To>(c < used ? load_float(x[row * pitch_x + c]) : 0.0f);
  }
}

/// Place of an element in use.
ATHANOR_DEVICE std::int64_t place_in(const ChannelOrder& order, std::int64_t channels, std::int64_t n, std::int64_t c,
                                     std::int64_t y, std::int64_t x) {
  if (!order.channels_last) return ((n * channels + c) * order.height + y) * order.width + x;
  const std::int64_t fy = y + order.front, fx = x + order.front;
  const std::int64_t pixel = (n * order.height + fy / order.fold) * order.width + fx / order.fold;
  return pixel * order.channels + (fy % order.fold * order.fold + fx % order.fold) * channels + c;
}

/// Every place of y, from wherever its element lies in x.
template <typename From, typename To>
ATHANOR_KERNEL __launch_bounds__(kThreads) gather(ATHANOR_CONSTANT_ARGUMENT Reorder r, std::int64_t count) {
  const From* const from = static_cast<const From*>(r.x);
  const ChannelOrder& to = r.target;
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    std::int64_t n, c, y, x;
    bool in_use = true;
    if (to.channels_last) {
      const std::int64_t stored = i % to.channels, pixel = i / to.channels, part = stored / r.channels;
      n = pixel / (to.height * to.width);
      c = stored % r.channels;
      y = pixel / to.width % to.height * to.fold + part / to.fold - to.front;
      x = pixel % to.width * to.fold + part % to.fold - to.front;
      in_use = part < to.fold * to.fold && y >= 0 && y < r.height && x >= 0 && x < r.width;
    } else {
      n = i / (to.channels * to.height * to.width);
      c = i / (to.height * to.width) % to.channels;
      y = i / to.width % to.height;
      x = i % to.width;
    }
    const float value = in_use ? load_float(from[place_in(r.source, r.channels, n, c, y, x)]) : 0.0f;
    static_cast<To*>(r.y)[i] = store_as<To>(value);
  }
}

unsigned tiles(std::int64_t count, std::int64_t most) {
  const std::int64_t needed = (count + kTile - 1) / kTile;
  return static_cast<unsigned>(needed < most ? needed : most);
}

template <typename From, typename To>
void launch_transpose(const Reorder& r, LaunchStream stream) {
  const bool to_last = r.target.channels_last;
  const std::int64_t rows = to_last ? r.channels : r.pixels(), columns = to_last ? r.pixels() : r.channels;
  const std::int64_t pitch_x = to_last ? r.pixels() : r.source.channels;
  const std::int64_t pitch_y = to_last ? r.target.channels : r.pixels();
  const Dim3 grid(tiles(columns, 0x7fffffff), tiles(pitch_y, 65535),
                  static_cast<unsigned>(r.batch < 65535 ? r.batch : 65535));
  launch_kernel(transpose<From, To>, grid, Dim3(kTile, kTileRows), 0, stream, static_cast<const From*>(r.x),
                static_cast<To*>(r.y), r.batch, rows, columns, pitch_x, pitch_y);
}

template <typename From, typename To>
void launch_rows(const Reorder& r, LaunchStream stream) {
  const std::int64_t count = r.batch * r.pixels() * r.target.channels;
  launch_independent(copy_rows<From, To>, grid_for(count, kThreads), kThreads, 0, stream, static_cast<const From*>(r.x),
                     static_cast<To*>(r.y), count, r.channels, r.source.channels, r.target.channels);
}

template <typename From, typename To>
void launch_gather(const Reorder& r, LaunchStream stream) {
  const std::int64_t count = r.batch * r.target.channels * r.target.height * r.target.width;
  launch_independent(gather<From, To>, grid_for(count, kThreads), kThreads, 0, stream, r, count);
}

/// Whether elements keep their places: the order is the same, or there is one pixel or one channel, without padding.
bool keeps_places(const Reorder& r) {
  if (r.source.channels != r.target.channels) return false;
  if (r.source.channels_last == r.target.channels_last) return true;
  return r.source.channels == r.channels && (r.pixels() == 1 || r.channels == 1);
}

}  // namespace

void launch(const Reorder& r, LaunchStream stream) {
  const bool is_folded = r.source.fold != 1 || r.target.fold != 1;
  // Equal padding is zero on both sides already.
  if (!is_folded && keeps_places(r))
    return launch(Cast{r.from, r.to, r.x, r.y, r.batch * r.pixels() * r.source.channels}, stream);
  with_type(r.from, [&]<typename From>() {
    with_type(r.to, [&]<typename To>() {
      if (is_folded) return launch_gather<From, To>(r, stream);
      // One pixel: [N, C] either way, so only the pitch differs.
      if (r.source.channels_last == r.target.channels_last || r.pixels() == 1) return launch_rows<From, To>(r, stream);
      launch_transpose<From, To>(r, stream);
    });
  });
}

}  // namespace athanor::kernels::cuda
