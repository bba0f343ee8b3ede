#include "kernels/cuda/reduce.h"

#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda {
namespace {

constexpr int kThreads = 256, kPack = 4, kWarps = kThreads / 32;

template <bool kAdd>
ATHANOR_KERNEL __launch_bounds__(kThreads) add_ranges(TreeAdd args, std::int64_t packs) {
  for (std::int64_t i = grid_thread(); i < packs; i += grid_threads()) {
    auto sum = load_pack<kPack>(args.left + i * kPack);
    if constexpr (kAdd) {
      const auto right = load_pack<kPack>(args.right + i * kPack);
      for (int k = 0; k < kPack; ++k) sum[k] += right[k];
    }
    store_pack(args.target + i * kPack, sum);
  }
  for (std::int64_t i = packs * kPack + grid_thread(); i < args.count; i += grid_threads()) {
    args.target[i] = kAdd ? args.left[i] + args.right[i] : args.left[i];
  }
}

ATHANOR_KERNEL __launch_bounds__(kThreads) sum_squares(SumOfSquares args, bool packs) {
  ATHANOR_SHARED double partial[kWarps];
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * kSumBlock;
  double sum = 0;
#pragma unroll
  for (int turn = 0; turn < kSumBlock / (kThreads * kPack); ++turn) {
    const std::int64_t i = begin + (turn * kThreads + static_cast<std::int64_t>(threadIdx.x)) * kPack;
    Pack<float, kPack> values{};
    if (packs && i + kPack <= args.count) {
      values = load_pack<kPack>(args.values + i);
    } else {
      for (int k = 0; k < kPack; ++k) values[k] = i + k < args.count ? args.values[i + k] : 0.0f;
    }
    for (int k = 0; k < kPack; ++k) {
      const double value = static_cast<double>(values[k]);
      sum += value * value;
    }
  }
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  double total = 0;
  for (int warp = 0; warp < kWarps; ++warp) total += partial[warp];
  args.block_sums[blockIdx.x] = total;
}

ATHANOR_KERNEL __launch_bounds__(kThreads) clear_hashes(std::uint64_t* hashes, std::int32_t count) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) hashes[i] = 0;
}

/// Whole numbers add up to the same in any order.
ATHANOR_KERNEL __launch_bounds__(kThreads) hash_ranges(HashBlocks args) {
  const HashRange range = args.ranges[blockIdx.y];
  const auto* words = static_cast<const std::uint32_t*>(range.data);
  std::uint64_t sum = 0;
  for (std::int64_t i = grid_thread(); i < range.count; i += grid_threads()) sum += hash_term(i, words[i]);
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
  if (threadIdx.x % 32 == 0) {
    atomicAdd(reinterpret_cast<unsigned long long*>(args.hashes + blockIdx.y), static_cast<unsigned long long>(sum));
  }
}

template <typename T>
ATHANOR_KERNEL __launch_bounds__(kThreads)
    test_finite(const T* x, std::int64_t packs, std::int64_t count, std::int32_t* is_finite) {
  // x − x is 0 for finite x and NaN otherwise, and a NaN stays in the sum.
  float sum = 0;
  for (std::int64_t i = grid_thread(); i < packs; i += grid_threads()) {
    const auto pack = load_pack<kPackOf<T>>(x + i * kPackOf<T>);
    for (int k = 0; k < kPackOf<T>; ++k) sum += load_float(pack[k]) - load_float(pack[k]);
  }
  for (std::int64_t i = packs * kPackOf<T> + grid_thread(); i < count; i += grid_threads()) {
    sum += load_float(x[i]) - load_float(x[i]);
  }
  if (!(sum == 0.0f)) *is_finite = 0;
}

ATHANOR_KERNEL __launch_bounds__(kThreads) swap_ranges(Swap args, std::int64_t packs) {
  for (std::int64_t i = grid_thread(); i < packs; i += grid_threads()) {
    const auto first = load_pack<kPack>(args.first + i * kPack);
    const auto second = load_pack<kPack>(args.second + i * kPack);
    store_pack(args.first + i * kPack, second);
    store_pack(args.second + i * kPack, first);
  }
  for (std::int64_t i = packs * kPack + grid_thread(); i < args.count; i += grid_threads()) {
    const float first = args.first[i];
    args.first[i] = args.second[i];
    args.second[i] = first;
  }
}

/// Blocks for a loop over whole packs and then over what is left.
unsigned blocks_for(std::int64_t packs, std::int64_t rest) {
  return grid_for(packs > rest ? packs : rest, kThreads);
}

}  // namespace

void launch(const TreeAdd& args, LaunchStream stream) {
  const bool fits = is_aligned(args.target, 16) && is_aligned(args.left, 16) && is_aligned(args.right, 16);
  const std::int64_t packs = fits ? args.count / kPack : 0;
  launch_independent(args.right != nullptr ? add_ranges<true> : add_ranges<false>,
                     blocks_for(packs, args.count - packs * kPack), kThreads, 0, stream, args, packs);
}

void launch(const SumOfSquares& args, LaunchStream stream) {
  launch_kernel(sum_squares, static_cast<unsigned>(sum_blocks(args.count)), kThreads, 0, stream, args,
                is_aligned(args.values, 16));
}

void launch(const HashBlocks& args, LaunchStream stream) {
  launch_independent(clear_hashes, grid_for(args.range_count, kThreads), kThreads, 0, stream, args.hashes,
                     args.range_count);
  launch_kernel(hash_ranges,
                Dim3(grid_for(std::int64_t{1} << 40, kThreads, 2), static_cast<unsigned>(args.range_count)), kThreads,
                0, stream, args);
}

void launch(const IsFinite& args, LaunchStream stream) {
  with_type(args.dtype, [&]<typename T>() {
    const std::int64_t packs = is_aligned(args.values, 16) ? args.count / kPackOf<T> : 0;
    launch_independent(test_finite<T>, blocks_for(packs, args.count - packs * kPackOf<T>), kThreads, 0, stream,
                       static_cast<const T*>(args.values), packs, args.count, args.is_finite);
  });
}

void launch(const Swap& args, LaunchStream stream) {
  const bool fits = is_aligned(args.first, 16) && is_aligned(args.second, 16);
  const std::int64_t packs = fits ? args.count / kPack : 0;
  launch_independent(swap_ranges, blocks_for(packs, args.count - packs * kPack), kThreads, 0, stream, args, packs);
}

}  // namespace athanor::kernels::cuda
