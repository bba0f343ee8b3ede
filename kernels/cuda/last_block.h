// How the last block of a launch finds out that it is the last: it adds up what all blocks have written, in an order
// that does not depend on who came when. Code of kernels: include it in .cu files only.
#pragma once

#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda {

/// Arrivals at the meeting points of one launch; all zero between launches. Kernels of one file that meet run on one
/// stream, one after the other.
inline constexpr int kMeetings = 4096;
#ifdef __CUDACC__
static __device__ unsigned int arrivals[kMeetings];
#else
static thread_local unsigned int arrivals[kMeetings];
#endif

/// Says to all threads of a block whether it is the last of `expected` to come; what the others wrote can be read then.
ATHANOR_DEVICE bool is_last_to_arrive(int meeting, int expected) {
  ATHANOR_SHARED bool is_last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    const unsigned int before = atomicAdd(&arrivals[meeting], 1u);
    is_last = before + 1 == static_cast<unsigned int>(expected);
    if (is_last) arrivals[meeting] = 0;
  }
  __syncthreads();
  if (is_last) __threadfence();
  return is_last;
}

/// Past the L1 cache, which does not see what other multiprocessors write.
ATHANOR_DEVICE double load_shared_result(const double* from) {
#ifdef __CUDA_ARCH__
  return __ldcg(from);
#else
  return *from;
#endif
}

/// Σ over the threads of a block along a tree, for all of them. `kThreads`: a power of two.
template <int kThreads>
ATHANOR_DEVICE double block_sum(double value) {
  ATHANOR_SHARED double sums[kThreads];
  const int thread = static_cast<int>(threadIdx.x);
  __syncthreads();
  sums[thread] = value;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (thread < half) sums[thread] += sums[thread + half];
  }
  __syncthreads();
  return sums[0];
}

}  // namespace athanor::kernels::cuda
