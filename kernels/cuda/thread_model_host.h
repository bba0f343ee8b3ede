// The thread model of kernels on the host. Only kernels/cuda/thread_model.h includes this; the fibers are in
// tests/gpu/emulation/fibers.cpp.
#pragma once

#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#define ATHANOR_KERNEL void
#define ATHANOR_DEVICE inline
#define ATHANOR_SHARED static thread_local
#define ATHANOR_CONSTANT_ARGUMENT const
#define __launch_bounds__(...)

namespace athanor::kernels::cuda {

using LaunchStream = void*;

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr Dim3() = default;
  constexpr Dim3(unsigned first, unsigned second = 1, unsigned third = 1) : x(first), y(second), z(third) {}
};

inline thread_local constinit Dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace host {

inline constexpr unsigned kWarp = 32;
inline constexpr std::size_t kSlotBytes = 16;

/// Runs `body(context)` once for every thread of every block, threads as fibers. Blocks and warps go in ascending
/// order, or descending where set_order says so: a kernel's result must not depend on it. Aborts with a message where
/// threads wait for each other forever. Dynamic shared memory starts as garbage.
void run_blocks(void (*body)(void*), void* context, Dim3 grid, Dim3 block, std::size_t shared_bytes);
/// The same for threads that never wait.
void run_independent(void (*body)(void*), void* context, Dim3 grid, Dim3 block, std::size_t shared_bytes);

enum class Order : std::uint8_t { ascending, descending };
void set_order(Order order);

std::byte* shared_memory();
/// Waits for the threads of the block, or of the warp.
void wait_for_block();
void wait_for_warp();
/// Leaves `value` in this lane's slot, waits for the warp and returns the slots of its lanes, kSlotBytes each, and how
/// many lanes the warp has.
const std::byte* exchange(const void* value, std::size_t bytes, unsigned& lanes);
/// This thread's place in its warp.
unsigned lane();

template <typename T>
T from_lane(T value, unsigned source, unsigned width, unsigned own) {
  static_assert(sizeof(T) <= kSlotBytes && std::is_trivially_copyable_v<T>);
  unsigned lanes = 0;
  const std::byte* slots = exchange(&value, sizeof(T), lanes);
  const bool exists = source / width == own / width && source < lanes;
  T result = value;
  if (exists) std::memcpy(&result, slots + source * kSlotBytes, sizeof(T));
  return result;
}

template <typename Body>
void call(void* context) {
  (*static_cast<Body*>(context))();
}

}  // namespace host

template <typename T>
T* dynamic_shared() {
  return reinterpret_cast<T*>(host::shared_memory());
}

template <typename... Parameters, typename... Arguments>
void launch_kernel(void (*kernel)(Parameters...), Dim3 grid, Dim3 block, std::size_t shared_bytes, LaunchStream,
                   Arguments... arguments) {
  auto body = [&] { kernel(arguments...); };
  host::run_blocks(host::call<decltype(body)>, &body, grid, block, shared_bytes);
}

template <typename... Parameters, typename... Arguments>
void launch_independent(void (*kernel)(Parameters...), Dim3 grid, Dim3 block, std::size_t shared_bytes, LaunchStream,
                        Arguments... arguments) {
  auto body = [&] { kernel(arguments...); };
  host::run_independent(host::call<decltype(body)>, &body, grid, block, shared_bytes);
}

template <typename... Parameters, typename... Arguments>
void launch_early(void (*kernel)(Parameters...), Dim3 grid, Dim3 block, std::size_t shared_bytes, LaunchStream stream,
                  Arguments... arguments) {
  launch_kernel(kernel, grid, block, shared_bytes, stream, arguments...);
}
template <typename... Parameters, typename... Arguments>
void launch_early_independent(void (*kernel)(Parameters...), Dim3 grid, Dim3 block, std::size_t shared_bytes,
                              LaunchStream stream, Arguments... arguments) {
  launch_independent(kernel, grid, block, shared_bytes, stream, arguments...);
}
inline void wait_for_previous() {}
inline void let_next_start() {}

/// Few, so that threads take several turns in a grid-stride loop.
inline int multiprocessors() {
  return 1;
}

// CUDA's own names, which nvcc gives to kernels on the device.
inline void __syncthreads() {
  host::wait_for_block();
}
inline void __syncwarp(unsigned = 0xffffffffu) {
  host::wait_for_warp();
}
inline void __threadfence() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
}
inline void __threadfence_system() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

template <typename T>
T __shfl_sync(unsigned, T value, int source, int width = 32) {
  const unsigned own = host::lane(), size = static_cast<unsigned>(width);
  return host::from_lane(value, own / size * size + static_cast<unsigned>(source) % size, size, own);
}
template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask, int width = 32) {
  const unsigned own = host::lane();
  return host::from_lane(value, own ^ static_cast<unsigned>(mask), static_cast<unsigned>(width), own);
}
template <typename T>
T __shfl_down_sync(unsigned, T value, unsigned delta, int width = 32) {
  const unsigned own = host::lane();
  return host::from_lane(value, own + delta, static_cast<unsigned>(width), own);
}
inline unsigned __ballot_sync(unsigned, int predicate) {
  unsigned lanes = 0, result = 0;
  const std::byte* slots = host::exchange(&predicate, sizeof predicate, lanes);
  for (unsigned i = 0; i < lanes; ++i) {
    int other = 0;
    std::memcpy(&other, slots + i * host::kSlotBytes, sizeof other);
    if (other != 0) result |= 1u << i;
  }
  return result;
}
inline int __any_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) != 0;
}

/// Atomics of whole numbers only: sums of floats in no fixed order would break the promise of equal bits.
template <typename T>
requires std::is_integral_v<T> T atomicAdd(T* target, T value) {
  return std::atomic_ref<T>(*target).fetch_add(value);
}
template <typename T>
requires std::is_integral_v<T> T atomicOr(T* target, T value) {
  return std::atomic_ref<T>(*target).fetch_or(value);
}

inline float rsqrtf(float x) {
  return 1.0f / std::sqrt(x);
}

}  // namespace athanor::kernels::cuda
