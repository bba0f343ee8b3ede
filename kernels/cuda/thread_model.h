// What a kernel is written against: the words of CUDA's thread model that both nvcc and, for tests, a C++ compiler
// understand. On the host the blocks of a launch run in turn and the threads of a block as fibers
// (thread_model_host.h), so the same source is executed without a GPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/dtype.h"

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define ATHANOR_KERNEL __global__ void
#define ATHANOR_DEVICE __device__ inline
#define ATHANOR_SHARED __shared__
#define ATHANOR_CONSTANT_ARGUMENT const __grid_constant__

namespace athanor::kernels::cuda {

using LaunchStream = cudaStream_t;
using Dim3 = dim3;

/// The launch's dynamic shared memory, aligned to 16 bytes.
template <typename T>
__device__ inline T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char athanor_dynamic_shared[];
  return reinterpret_cast<T*>(athanor_dynamic_shared);
}

/// Compute capability 9.0 and newer.
inline bool knows_early_launches() {
  static const bool knows = [] {
    int device = 0, major = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    return major >= 9;
  }();
  return knows;
}

/// Lets a kernel have more dynamic shared memory than the 48 KiB that any may.
template <typename... Parameters>
void allow_shared_memory(void (*kernel)(Parameters...), std::size_t bytes) {
  if (bytes <= 48 * 1024) return;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
}

/// Enqueues a kernel; an empty grid does nothing. Errors stay in cudaGetLastError.
template <typename... Parameters, typename... Arguments>
void launch_kernel(void (*kernel)(Parameters...), Dim3 grid, Dim3 block, std::size_t shared_bytes, LaunchStream stream,
                   Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  allow_shared_memory(kernel, shared_bytes);
  kernel<<<grid, block, shared_bytes, stream>>>(arguments...);
}

/// The same for a kernel whose threads neither synchronise nor shuffle: the host runs them as plain loops.
template <typename... Parameters, typename... Arguments>
void launch_independent(void (*kernel)(Parameters...), Dim3 grid, Dim3 block, std::size_t shared_bytes,
                        LaunchStream stream, Arguments... arguments) {
  launch_kernel(kernel, grid, block, shared_bytes, stream, arguments...);
}

/// The same for a kernel whose blocks may be placed while the kernel before it on the stream still ends: it calls
/// wait_for_previous() before it touches memory.
template <typename... Parameters, typename... Arguments>
void launch_early(void (*kernel)(Parameters...), Dim3 grid, Dim3 block, std::size_t shared_bytes, LaunchStream stream,
                  Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  allow_shared_memory(kernel, shared_bytes);
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = knows_early_launches() ? 1 : 0;
  cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}

template <typename... Parameters, typename... Arguments>
void launch_early_independent(void (*kernel)(Parameters...), Dim3 grid, Dim3 block, std::size_t shared_bytes,
                              LaunchStream stream, Arguments... arguments) {
  launch_early(kernel, grid, block, shared_bytes, stream, arguments...);
}

/// For kernels that are launched early: what the kernels before have written is there now.
__device__ inline void wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
/// From here on the next kernel's blocks may be placed, where it is launched early.
__device__ inline void let_next_start() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

/// Multiprocessors of the current device.
inline int multiprocessors() {
  static const int count = [] {
    int device = 0, found = 1;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&found, cudaDevAttrMultiProcessorCount, device);
    return found;
  }();
  return count;
}

}  // namespace athanor::kernels::cuda
#else
#include "kernels/cuda/thread_model_host.h"
#endif

namespace athanor::kernels::cuda {

/// Blocks for a grid-stride loop over `items`: enough to fill the machine, none without work.
inline unsigned grid_for(std::int64_t items, int threads, int blocks_per_multiprocessor = 8) {
  const std::int64_t needed = (items + threads - 1) / threads;
  const std::int64_t most = static_cast<std::int64_t>(multiprocessors()) * blocks_per_multiprocessor;
  return static_cast<unsigned>(needed < most ? needed : most);
}

/// N elements that are loaded and stored at once: 16 bytes are the widest access.
template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
  T values[N];
  ATHANOR_DEVICE T& operator[](int i) { return values[i]; }
  ATHANOR_DEVICE const T& operator[](int i) const { return values[i]; }
};
/// Elements of 16 bytes.
template <typename T>
inline constexpr int kPackOf = static_cast<int>(16 / sizeof(T));

template <int N, typename T>
ATHANOR_DEVICE Pack<T, N> load_pack(const T* from) {
  return *reinterpret_cast<const Pack<T, N>*>(from);
}
template <int N, typename T>
ATHANOR_DEVICE void store_pack(T* to, const Pack<T, N>& pack) {
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

/// Whether `pointer` is a multiple of `bytes`.
inline bool is_aligned(const void* pointer, std::size_t bytes) {
  return reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
}

ATHANOR_DEVICE float load_float(float value) {
  return value;
}
ATHANOR_DEVICE float load_float(BFloat16 value) {
#ifdef __CUDACC__
  return __uint_as_float(static_cast<unsigned>(value.bits) << 16);
#else
  return static_cast<float>(value);
#endif
}
ATHANOR_DEVICE float load_float(Float16 value) {
#ifdef __CUDACC__
  return __half2float(__ushort_as_half(value.bits));
#else
  return static_cast<float>(value);
#endif
}

/// Rounds to nearest, ties to even.
template <typename T>
ATHANOR_DEVICE T store_as(float value) {
  if constexpr (std::is_same_v<T, float>) {
    return value;
  } else {
#ifdef __CUDACC__
    T result;
    if constexpr (std::is_same_v<T, BFloat16>) {
      result.bits = __bfloat16_as_ushort(__float2bfloat16_rn(value));
    } else {
      result.bits = __half_as_ushort(__float2half_rn(value));
    }
    return result;
#else
    return T(value);
#endif
  }
}

/// Runs `f.template operator()<T>()` for the C++ type of f32, bf16 or f16.
template <typename F>
void with_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::bf16:
      return f.template operator()<BFloat16>();
    case DType::f16:
      return f.template operator()<Float16>();
    default:
      return f.template operator()<float>();
  }
}

/// This thread's place in a one-dimensional grid, and the grid's threads.
ATHANOR_DEVICE std::int64_t grid_thread() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
ATHANOR_DEVICE std::int64_t grid_threads() {
  return static_cast<std::int64_t>(gridDim.x) * blockDim.x;
}

}  // namespace athanor::kernels::cuda
