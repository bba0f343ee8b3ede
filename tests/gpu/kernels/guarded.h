// What the tests of kernels share: typed values in memory with red zones, poisoned until they are written, and a
// comparison with a bound.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/random.h"
#include "kernels/cuda/registry.h"
#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda::testing {

inline const std::vector<DType> kFloatTypes{DType::f32, DType::bf16, DType::f16};

/// The largest relative error of rounding to the type.
inline double rounding_of(DType dtype) {
  return dtype == DType::bf16 ? 0x1p-8 : dtype == DType::f16 ? 0x1p-11 : 0x1p-24;
}

/// `count` elements, aligned to 64 bytes unless `misaligned`; reads and writes as double. Unwritten elements are NaN
/// (integers: a number that no kernel writes).
class Guarded {
 public:
  Guarded(DType dtype, std::int64_t count, bool misaligned = false)
      : dtype_(dtype), count_(count), bytes_(2 * kZone + 128 + size(), kPoison) {
    const auto address = reinterpret_cast<std::uintptr_t>(bytes_.data());
    offset_ = kZone + (64 - address % 64) % 64 + (misaligned ? size_of(dtype) : 0);
  }
  Guarded(DType dtype, const std::vector<double>& values, bool misaligned = false)
      : Guarded(dtype, static_cast<std::int64_t>(values.size()), misaligned) {
    for (std::int64_t i = 0; i < count_; ++i) set(i, values[static_cast<std::size_t>(i)]);
  }
  Guarded(Guarded&&) = default;
  ~Guarded() { EXPECT_TRUE(bytes_.empty() || zones_are_whole()) << "written outside its " << count_ << " elements"; }

  void* data() { return bytes_.data() + offset_; }
  template <typename T>
  T* as() {
    return static_cast<T*>(data());
  }
  std::int64_t count() const { return count_; }
  std::size_t size() const { return static_cast<std::size_t>(count_) * size_of(dtype_); }

  double operator[](std::int64_t i) const {
    const unsigned char* at = bytes_.data() + offset_ + static_cast<std::size_t>(i) * size_of(dtype_);
    switch (dtype_) {
      case DType::bf16:
        return static_cast<float>(load<BFloat16>(at));
      case DType::f16:
        return static_cast<float>(load<Float16>(at));
      case DType::i32:
        return load<std::int32_t>(at);
      default:
        return load<float>(at);
    }
  }
  void set(std::int64_t i, double value) {
    unsigned char* at = bytes_.data() + offset_ + static_cast<std::size_t>(i) * size_of(dtype_);
    const auto narrow = static_cast<float>(value);
    switch (dtype_) {
      case DType::bf16:
        return store(at, BFloat16(narrow));
      case DType::f16:
        return store(at, Float16(narrow));
      case DType::i32:
        return store(at, static_cast<std::int32_t>(value));
      default:
        return store(at, narrow);
    }
  }
  std::vector<double> values() const {
    std::vector<double> all;
    for (std::int64_t i = 0; i < count_; ++i) all.push_back((*this)[i]);
    return all;
  }
  /// What storing `value` gives.
  double rounded(double value) const {
    Guarded one(dtype_, 1);
    one.set(0, value);
    return one[0];
  }
  /// Normally distributed.
  void fill_random(std::uint64_t seed, double deviation = 1) {
    RandomStream stream(seed, Purpose::test, 0, 0);
    for (std::int64_t i = 0; i < count_; ++i) set(i, deviation * static_cast<double>(stream.normal()));
  }
  bool same_bits(const Guarded& other) const {
    return std::memcmp(bytes_.data() + offset_, other.bytes_.data() + other.offset_, size()) == 0;
  }

 private:
  static constexpr std::size_t kZone = 256;
  static constexpr unsigned char kPoison = 0xff;

  bool zones_are_whole() const {
    for (std::size_t i = 0; i < bytes_.size(); ++i) {
      if ((i < offset_ || i >= offset_ + size()) && bytes_[i] != kPoison) return false;
    }
    return true;
  }
  template <typename T>
  static T load(const unsigned char* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  template <typename T>
  static void store(unsigned char* at, T value) {
    std::memcpy(at, &value, sizeof value);
  }

  DType dtype_;
  std::int64_t count_;
  std::vector<unsigned char> bytes_;
  std::size_t offset_ = 0;
};

/// Normally distributed values, as the type holds them.
inline Guarded random_guarded(DType dtype, std::int64_t count, std::uint64_t seed, double mean = 0,
                              double deviation = 1, bool misaligned = false) {
  Guarded values(dtype, count, misaligned);
  RandomStream stream(seed, Purpose::test, 0, 0);
  for (std::int64_t i = 0; i < count; ++i) values.set(i, mean + deviation * static_cast<double>(stream.normal()));
  return values;
}

/// |result − want| ≤ absolute + relative · |want|, element by element.
inline void expect_near(const Guarded& result, const std::vector<double>& want, double absolute, double relative,
                        const std::string& what) {
  ASSERT_EQ(result.count(), static_cast<std::int64_t>(want.size())) << what;
  for (std::int64_t i = 0; i < result.count(); ++i) {
    const double right = want[static_cast<std::size_t>(i)];
    ASSERT_LE(std::fabs(result[i] - right), absolute + relative * std::fabs(right))
        << what << " at " << i << ": " << result[i] << ", want " << right;
  }
}

/// As a device launches: by the struct's place in the registry.
template <typename Arguments>
void run(const Arguments& arguments) {
  launcher_of(id_of<Arguments>())(&arguments, nullptr);
}

/// Runs a test's body with the blocks of launches in ascending and in descending order.
template <typename Body>
void in_both_orders(Body body) {
  for (const host::Order order : {host::Order::ascending, host::Order::descending}) {
    host::set_order(order);
    body();
  }
  host::set_order(host::Order::ascending);
}

}  // namespace athanor::kernels::cuda::testing
