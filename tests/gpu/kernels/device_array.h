// Memory as kernels get it, for tests: poisoned, between red zones, at a chosen distance from an aligned address.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/dtype.h"
#include "base/random.h"
#include "kernels/cuda/registry.h"

namespace athanor::kernels::cuda::testing {

inline constexpr DType kFloatTypes[] = {DType::f32, DType::bf16, DType::f16};

/// The rounding error of one conversion to `dtype`, relative.
inline double rounding_of(DType dtype) {
  return dtype == DType::f32 ? 0x1p-24 : dtype == DType::bf16 ? 0x1p-9 : 0x1p-11;
}

/// `count` elements of a float type; reads and writes as double.
class DeviceArray {
 public:
  /// `shift`: elements beyond an address that is aligned to 64 bytes.
  DeviceArray(DType dtype, std::int64_t count, std::int64_t shift = 0)
      : dtype_(dtype),
        count_(count),
        bytes_(static_cast<std::size_t>(count + shift) * size_of(dtype) + 3 * kZone, kPoison) {
    const auto address = reinterpret_cast<std::uintptr_t>(bytes_.data()) + kZone;
    begin_ = kZone + (64 - address % 64) % 64 + static_cast<std::size_t>(shift) * size_of(dtype);
  }
  DeviceArray(const DeviceArray&) = delete;
  ~DeviceArray() {
    const std::size_t end = begin_ + static_cast<std::size_t>(count_) * size_of(dtype_);
    for (std::size_t i = 0; i < bytes_.size(); ++i) {
      if ((i < begin_ || i >= end) && bytes_[i] != kPoison) {
        ADD_FAILURE() << "a kernel wrote outside of its array, at byte "
                      << static_cast<std::int64_t>(i) - static_cast<std::int64_t>(begin_) << " of " << end - begin_;
        return;
      }
    }
  }

  void* data() { return bytes_.data() + begin_; }
  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data());
  }
  std::int64_t count() const { return count_; }
  DType dtype() const { return dtype_; }

  double operator[](std::int64_t i) const {
    const unsigned char* at = bytes_.data() + begin_ + static_cast<std::size_t>(i) * size_of(dtype_);
    if (dtype_ == DType::bf16) return static_cast<float>(*reinterpret_cast<const BFloat16*>(at));
    if (dtype_ == DType::f16) return static_cast<float>(*reinterpret_cast<const Float16*>(at));
    return *reinterpret_cast<const float*>(at);
  }
  void set(std::int64_t i, double value) {
    unsigned char* at = bytes_.data() + begin_ + static_cast<std::size_t>(i) * size_of(dtype_);
    const auto single = static_cast<float>(value);
    if (dtype_ == DType::bf16) {
      *reinterpret_cast<BFloat16*>(at) = BFloat16(single);
    } else if (dtype_ == DType::f16) {
      *reinterpret_cast<Float16*>(at) = Float16(single);
    } else {
      *reinterpret_cast<float*>(at) = single;
    }
  }
  /// What storing `value` gives.
  double rounded(double value) const {
    const auto single = static_cast<float>(value);
    if (dtype_ == DType::bf16) return static_cast<float>(BFloat16(single));
    if (dtype_ == DType::f16) return static_cast<float>(Float16(single));
    return single;
  }
  void fill_random(std::uint64_t seed, double deviation = 1) {
    RandomStream stream(seed, Purpose::test, 0, 0);
    for (std::int64_t i = 0; i < count_; ++i) set(i, deviation * static_cast<double>(stream.normal()));
  }

 private:
  static constexpr std::size_t kZone = 256;
  static constexpr unsigned char kPoison = 0xfb;  // not-a-number in all three types
  DType dtype_;
  std::int64_t count_;
  std::vector<unsigned char> bytes_;
  std::size_t begin_ = 0;
};

/// As a device launches: by the struct's place in the registry.
template <typename Arguments>
void run(const Arguments& arguments) {
  launcher_of(id_of<Arguments>())(&arguments, nullptr);
}

}  // namespace athanor::kernels::cuda::testing
