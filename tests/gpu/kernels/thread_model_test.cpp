// The emulated thread model itself: barriers, shuffles, shared memory, and what it refuses.
#include "kernels/cuda/thread_model.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace athanor::kernels::cuda {
namespace {

/// y[block] = Σ x of the block, by warp shuffles and shared memory.
ATHANOR_KERNEL block_sum(const int* x, int* y) {
  ATHANOR_SHARED int partial[32];
  int value = x[grid_thread()];
  for (int delta = 16; delta > 0; delta /= 2)
    value += __shfl_down_sync(0xffffffffu, value, static_cast<unsigned>(delta));
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();
  if (threadIdx.x == 0) {
    y[blockIdx.x] = 0;
    for (unsigned i = 0; i < blockDim.x / 32; ++i) y[blockIdx.x] += partial[i];
  }
}

/// Every thread reads its right neighbour's number, several times.
ATHANOR_KERNEL rotate(int* y, int turns) {
  int* shared = dynamic_shared<int>();
  int value = static_cast<int>(threadIdx.x);
  for (int turn = 0; turn < turns; ++turn) {
    shared[threadIdx.x] = value;
    __syncthreads();
    value = shared[(threadIdx.x + 1) % blockDim.x];
    __syncthreads();
  }
  y[threadIdx.x] = value;
}

ATHANOR_KERNEL lonely_barrier(int* y) {
  if (threadIdx.x < 16) {
    __syncthreads();
  } else {
    y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1, 1);
  }
}

TEST(ThreadModel, SumsOfBlocksWithBarriersAndShuffles) {
  for (const host::Order order : {host::Order::ascending, host::Order::descending}) {
    host::set_order(order);
    std::vector<int> x(3 * 256), y(3);
    std::iota(x.begin(), x.end(), 1);
    launch_kernel(block_sum, 3, 256, 0, nullptr, x.data(), y.data());
    for (int block = 0; block < 3; ++block) {
      EXPECT_EQ(y[static_cast<std::size_t>(block)],
                std::accumulate(x.begin() + block * 256, x.begin() + (block + 1) * 256, 0));
    }
  }
  host::set_order(host::Order::ascending);
}

TEST(ThreadModel, ThreadsMeetAtEveryBarrier) {
  std::vector<int> y(512);
  launch_kernel(rotate, 1, 512, 512 * sizeof(int), nullptr, y.data(), 100);
  for (int i = 0; i < 512; ++i) EXPECT_EQ(y[static_cast<std::size_t>(i)], (i + 100) % 512);
}

TEST(ThreadModel, RefusesThreadsThatWaitForEachOtherForever) {
  std::vector<int> y(32);
  EXPECT_DEATH(launch_kernel(lonely_barrier, 1, 32, 0, nullptr, y.data()), "wait for the warp");
  EXPECT_DEATH(launch_independent(rotate, 1, 32, 128, nullptr, y.data(), 1), "launch_independent synchronises");
}

TEST(ThreadModel, TypesConvertAsTheHostDoes) {
  EXPECT_EQ(load_float(store_as<BFloat16>(1.00390625f)), 1.0f);
  EXPECT_EQ(load_float(store_as<Float16>(65520.0f)), std::numeric_limits<float>::infinity());
}

}  // namespace
}  // namespace athanor::kernels::cuda
