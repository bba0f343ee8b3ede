// Neighbouring elements of a row as they lie in memory, unpacked one by one when they are needed: 16-bit elements stay
// two to a register until then. Code of kernels: include it in .cu files only.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda {

ATHANOR_DEVICE float float_of_bits(std::uint32_t bits) {
#ifdef __CUDACC__
  return __uint_as_float(bits);
#else
  return std::bit_cast<float>(bits);
#endif
}

/// Two elements of 16 bits, the first in the lower half.
template <typename T>
ATHANOR_DEVICE std::uint32_t pair_of(float first, float second) {
#ifdef __CUDACC__
  if constexpr (std::is_same_v<T, BFloat16>) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
    return *reinterpret_cast<const std::uint32_t*>(&pair);
  } else {
    const __half2 pair = __floats2half2_rn(first, second);
    return *reinterpret_cast<const std::uint32_t*>(&pair);
  }
#else
  return T(first).bits | static_cast<std::uint32_t>(T(second).bits) << 16;
#endif
}

/// V elements of type T: 16 bytes, or one element.
template <typename T, int V>
struct RowPack {
  static constexpr bool kIsPaired = sizeof(T) == 2 && V > 1;
  using Word = std::conditional_t<kIsPaired, std::uint32_t, T>;
  static constexpr int kWords = kIsPaired ? V / 2 : V;
  Pack<Word, kWords> words;

  ATHANOR_DEVICE void load(const T* from) { words = *reinterpret_cast<const Pack<Word, kWords>*>(from); }
  /// The same for elements that nothing reads soon again: the L2 cache need not keep them.
  ATHANOR_DEVICE void load_last(const T* from) {
#ifdef __CUDA_ARCH__
    if constexpr (sizeof(T) * V == 16) {
      const uint4 bits = __ldcs(reinterpret_cast<const uint4*>(from));
      words = *reinterpret_cast<const Pack<Word, kWords>*>(&bits);
      return;
    }
#endif
    load(from);
  }
  ATHANOR_DEVICE void store(T* to) const {
    *reinterpret_cast<Pack<Word, kWords>*>(to) = words;
  }
  ATHANOR_DEVICE float operator[](int v) const {
    if constexpr (!kIsPaired) {
      return load_float(words[v]);
    } else if constexpr (std::is_same_v<T, BFloat16>) {
      return float_of_bits(v % 2 == 0 ? words[v / 2] << 16 : words[v / 2] & 0xffff0000u);
    } else {
      T half;
      half.bits = static_cast<std::uint16_t>(v % 2 == 0 ? words[v / 2] : words[v / 2] >> 16);
      return load_float(half);
    }
  }

  /// Rounds to nearest, ties to even.
  ATHANOR_DEVICE void set(const float (&values)[V]) {
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      if constexpr (kIsPaired) {
        words[i] = pair_of<T>(values[2 * i], values[2 * i + 1]);
      } else {
        words[i] = store_as<T>(values[i]);
      }
    }
  }
};

/// Whether what is loaded will be read again soon.
enum class Reuse { soon, none };

/// Loads the present ones of kUnroll packs that lie `stride` elements apart; the others become 0.
template <Reuse kReuse, int kUnroll, typename T, int V>
ATHANOR_DEVICE void load_rows(RowPack<T, V> (&packs)[kUnroll], const T* from, std::int64_t stride, int present) {
  const auto load = [&](int u) {
    if constexpr (kReuse == Reuse::soon) {
      packs[u].load(from + u * stride);
    } else {
      packs[u].load_last(from + u * stride);
    }
  };
  if (present == kUnroll) {
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) load(u);
    return;
  }
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    packs[u] = {};
    if (u < present) load(u);
  }
}

}  // namespace athanor::kernels::cuda
