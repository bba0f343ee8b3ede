// Channels first to channels last and back go through tiles of shared memory, so that both sides are read and written
// in rows; other padding is a copy of rows.
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

unsigned tiles(std::int64_t count, std::int64_t most) {
  const std::int64_t needed = (count + kTile - 1) / kTile;
  return static_cast<unsigned>(needed < most ? needed : most);
}

template <typename From, typename To>
void launch_transpose(const Reorder& r, LaunchStream stream) {
  const bool to_last = r.target.channels_last;
  const std::int64_t rows = to_last ? r.channels : r.pixels, columns = to_last ? r.pixels : r.channels;
  const std::int64_t pitch_x = to_last ? r.pixels : r.source.channels;
  const std::int64_t pitch_y = to_last ? r.target.channels : r.pixels;
  const Dim3 grid(tiles(columns, 0x7fffffff), tiles(pitch_y, 65535),
                  static_cast<unsigned>(r.batch < 65535 ? r.batch : 65535));
  launch_kernel(transpose<From, To>, grid, Dim3(kTile, kTileRows), 0, stream, static_cast<const From*>(r.x),
                static_cast<To*>(r.y), r.batch, rows, columns, pitch_x, pitch_y);
}

template <typename From, typename To>
void launch_rows(const Reorder& r, LaunchStream stream) {
  const std::int64_t count = r.batch * r.pixels * r.target.channels;
  launch_independent(copy_rows<From, To>, grid_for(count, kThreads), kThreads, 0, stream, static_cast<const From*>(r.x),
                     static_cast<To*>(r.y), count, r.channels, r.source.channels, r.target.channels);
}

/// Whether elements keep their places: the order is the same, or there is one pixel or one channel, without padding.
bool keeps_places(const Reorder& r) {
  if (r.source.channels != r.target.channels) return false;
  if (r.source.channels_last == r.target.channels_last) return true;
  return r.source.channels == r.channels && (r.pixels == 1 || r.channels == 1);
}

}  // namespace

void launch(const Reorder& r, LaunchStream stream) {
  // Equal padding is zero on both sides already.
  if (keeps_places(r)) return launch(Cast{r.from, r.to, r.x, r.y, r.batch * r.pixels * r.source.channels}, stream);
  with_type(r.from, [&]<typename From>() {
    with_type(r.to, [&]<typename To>() {
      // One pixel: [N, C] either way, so only the pitch differs.
      if (r.source.channels_last == r.target.channels_last || r.pixels == 1) return launch_rows<From, To>(r, stream);
      launch_transpose<From, To>(r, stream);
    });
  });
}

}  // namespace athanor::kernels::cuda
