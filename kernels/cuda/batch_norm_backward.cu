// The backward pass of batch norm.
#include "kernels/cuda/batch_norm.h"
#include "kernels/cuda/batch_norm_gradients.h"

namespace athanor::kernels::cuda {
namespace {

using namespace batch_norm;

struct FinishBackward {
  GradientFactors factors;
  float* dgamma;
  float* dbeta;
  double n;

  ATHANOR_DEVICE void write(std::int64_t c, double sum, double products) const {
    dbeta[c] = static_cast<float>(sum);
    dgamma[c] = static_cast<float>(products * static_cast<double>(factors.inv_std[c]));
  }
  ATHANOR_DEVICE void operator()(std::int64_t c, const double (&sums)[2]) const {
    write(c, sums[0], sums[1]);
    factors.set(c, sums[0], sums[1], n);
  }
};

/// The writing pass of a small matrix: each block adds up its channels' slices, all with the same bits; the first of a
/// tile writes dgamma and dbeta.
template <Mask kMask, typename T, int V>
ATHANOR_KERNEL __launch_bounds__(kColumnThreads, 2)
    small_input_gradient_kernel(ColumnGrid grid, int bands, GradientInputs<T> inputs, const double* partials,
                                FinishBackward finish, T* dx) {
  alignas(16) ATHANOR_SHARED float factors[5 * kSmallTileChannels];
  wait_for_previous();
  let_next_start();
  const TileSums sums = sum_tile(grid, partials);
  if (sums.has_thread()) {
    finish.factors.put(sums.channel(), sums.first(), sums.second(), finish.n, factors + threadIdx.x,
                       kSmallTileChannels);
    if (blockIdx.y == 0) finish.write(sums.channel(), sums.first(), sums.second());
  }
  __syncthreads();
  const ColumnPlace place = column_place(grid);
  if (!place.works) return;
  write_input_gradient<kMask, T, V>(grid, place, bands, inputs, factors + place.across * V, kSmallTileChannels, dx);
}

void launch_small_input_gradient(const BatchNormBackward& args, const ColumnGrid& grid, const FinishBackward& finish,
                                 LaunchStream stream) {
  const WriteBlocks write = small_write_blocks(grid);
  with_gradient_kind(args, grid, [&]<typename T, Mask kMask, int V>() {
    launch_early(small_input_gradient_kernel<kMask, T, V>, write.blocks, kColumnThreads, 0, stream, grid, write.bands,
                 inputs_of<T>(args), partials_of(args.scratch), finish, static_cast<T*>(args.dx));
  });
}

}  // namespace

void launch(const BatchNormBackward& args, LaunchStream stream) {
  const FinishBackward finish{{args.gamma, args.beta, args.mean, args.inv_std,
                               factors_of(args.scratch, args.dtype, args.rows, args.channels), args.channels},
                              args.dgamma,
                              args.dbeta,
                              static_cast<double>(args.rows)};
  BatchNormBackward rest = args;
  if (args.dresidual != nullptr) {  // it holds dz now
    rest.dy = args.dresidual;
    rest.dy2 = nullptr;
    rest.relu = false;
  }
  if (is_small_matrix(args.dtype, args.rows, args.channels)) {
    const ColumnGrid grid = small_column_grid(args.dtype, args.rows, args.channels, gradient_is_aligned(args));
    launch_gradient_slices(args, grid, stream);
    launch_small_input_gradient(rest, grid, finish, stream);
    return;
  }
  launch_gradient_sums(args, finish, stream);
  launch_input_gradient(rest, stream);
}

}  // namespace athanor::kernels::cuda
