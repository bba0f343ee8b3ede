// Tensor cores by the warp: a 16 × 8 × 16 product of 16-bit types with float32 sums, the loads of its fragments from
// shared memory, and copies into shared memory that do not wait. The host does the same by plain loops, with the same
// fragments. Code of kernels: include it in .cu files only.
//
// Fragments (PTX ISA, "Matrix fragments for mma.m16n8k16"): with g = lane / 4 and t = lane % 4, a register holds two
// neighbours along k:
//   a [16, 16]  rows g, g + 8, g, g + 8; k from 2t, 2t, 2t + 8, 2t + 8
//   b [16, 8]   column g; k from 2t, 2t + 8
//   d [16, 8]   (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
#pragma once

#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda {

#ifdef __CUDACC__
ATHANOR_DEVICE unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}
#else
/// Lane i gives the address of row i % 8 of matrix i / 8, 8 elements of 16 bits each.
inline void load_matrices_on_host(unsigned (&fragments)[4], const void* row, bool is_transposed) {
  unsigned lanes = 0;
  const std::byte* slots = host::exchange(&row, sizeof row, lanes);
  const unsigned first = host::lane() / 4, second = host::lane() % 4 * 2;
  for (unsigned matrix = 0; matrix < 4; ++matrix) {
    const auto element = [&](unsigned y, unsigned x) {
      const std::uint16_t* from = nullptr;
      std::memcpy(&from, slots + (matrix * 8 + y) * host::kSlotBytes, sizeof from);
      return static_cast<unsigned>(load_pack<8>(from)[static_cast<int>(x)]);
    };
    fragments[matrix] = is_transposed ? element(second, first) | element(second + 1, first) << 16
                                      : element(first, second) | element(first, second + 1) << 16;
  }
}
#endif

/// Four 8 × 8 matrices from shared memory, one a register: a lane gets (g, 2t) and (g, 2t + 1) of each. Lane i gives
/// the address of row i % 8 of matrix i / 8: 16 bytes, aligned to 16.
ATHANOR_DEVICE void load_matrices(unsigned (&fragments)[4], const void* row) {
#ifdef __CUDACC__
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragments[0]), "=r"(fragments[1]), "=r"(fragments[2]), "=r"(fragments[3])
               : "r"(shared_address(row))
               : "memory");
#else
  load_matrices_on_host(fragments, row, false);
#endif
}

/// The same matrices transposed: a lane gets (2t, g) and (2t + 1, g).
ATHANOR_DEVICE void load_matrices_transposed(unsigned (&fragments)[4], const void* row) {
#ifdef __CUDACC__
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragments[0]), "=r"(fragments[1]), "=r"(fragments[2]), "=r"(fragments[3])
               : "r"(shared_address(row))
               : "memory");
#else
  load_matrices_on_host(fragments, row, true);
#endif
}

/// d += a · b. T: BFloat16 or Float16.
template <typename T>
ATHANOR_DEVICE void multiply_add(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
#ifdef __CUDACC__
  if constexpr (std::is_same_v<T, BFloat16>) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
#else
  unsigned lanes = 0, all_a[32][4], all_b[32][2];
  const unsigned b[2] = {b0, b1};
  // A lane's next exchange may fill its slot again before the others have read it.
  const std::byte* slots = host::exchange(a, sizeof a, lanes);
  for (unsigned lane = 0; lane < 32; ++lane) std::memcpy(all_a[lane], slots + lane * host::kSlotBytes, sizeof a);
  slots = host::exchange(b, sizeof b, lanes);
  for (unsigned lane = 0; lane < 32; ++lane) std::memcpy(all_b[lane], slots + lane * host::kSlotBytes, sizeof b);
  const auto half = [](unsigned word, unsigned k) {
    T value;
    value.bits = static_cast<std::uint16_t>(word >> k % 2 * 16);
    return load_float(value);
  };
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = host::lane() / 4 + i / 2 * 8, column = host::lane() % 4 * 2 + i % 2;
    for (unsigned k = 0; k < 16; ++k) {
      const unsigned place = k % 8 / 2;
      d[i] += half(all_a[row % 8 * 4 + place][row / 8 + k / 8 * 2], k) * half(all_b[column * 4 + place][k / 8], k);
    }
  }
#endif
}

/// Starts a copy of 8 or 16 bytes into shared memory, both sides aligned to them; zeros where not `exists`.
template <int kBytes>
ATHANOR_DEVICE void copy_async(void* shared, const void* from, bool exists) {
  static_assert(kBytes == 8 || kBytes == 16);
#ifdef __CUDACC__
  const unsigned bytes = exists ? kBytes : 0;
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(from), "r"(bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_address(shared)), "l"(from), "r"(bytes)
                 : "memory");
  }
#else
  using Bytes = Pack<unsigned char, kBytes>;
  *static_cast<Bytes*>(shared) = exists ? *static_cast<const Bytes*>(from) : Bytes{};
#endif
}

/// Ends a group of copies that this thread has started.
ATHANOR_DEVICE void end_copies() {
#ifdef __CUDACC__
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/// Waits for this thread's groups of copies but for the last `kPending`.
template <int kPending>
ATHANOR_DEVICE void wait_for_copies() {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}

}  // namespace athanor::kernels::cuda
