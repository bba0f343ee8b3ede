// What the kernel tests share: the instruction sets of this machine, layouts, random values in either element type, and
// comparison with a stated bound.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/random.h"
#include "kernels/channel_view.h"
#include "kernels/isa.h"

namespace athanor::kernels::testing {

/// Every instruction set that this processor has.
inline std::vector<Isa> isas() {
  std::vector<Isa> all{Isa::baseline};
  if (__builtin_cpu_supports("x86-64-v3")) all.push_back(Isa::avx2);
  if (__builtin_cpu_supports("x86-64-v4")) all.push_back(Isa::avx512);
  return all;
}

/// A unit in the last place of 1 for float; for bf16 the rounding of the inputs and outputs too.
inline double epsilon_of(DType dtype) {
  return dtype == DType::bf16 ? 0x1p-8 : 0x1p-24;
}

/// Values in `dtype`'s storage; reads and writes as double.
class Values {
 public:
  Values(DType dtype, std::int64_t count) : dtype_(dtype), bytes_(static_cast<std::size_t>(count) * size_of(dtype)) {}

  void* data() { return bytes_.data(); }
  const void* data() const { return bytes_.data(); }
  std::int64_t count() const { return static_cast<std::int64_t>(bytes_.size() / size_of(dtype_)); }
  double operator[](std::int64_t i) const {
    if (dtype_ == DType::bf16) return static_cast<float>(reinterpret_cast<const BFloat16*>(bytes_.data())[i]);
    return reinterpret_cast<const float*>(bytes_.data())[i];
  }
  void set(std::int64_t i, double value) {
    if (dtype_ == DType::bf16) {
      reinterpret_cast<BFloat16*>(bytes_.data())[i] = BFloat16(static_cast<float>(value));
    } else {
      reinterpret_cast<float*>(bytes_.data())[i] = static_cast<float>(value);
    }
  }

 private:
  DType dtype_;
  std::vector<unsigned char> bytes_;
};

inline Values random_values(DType dtype, std::int64_t count, std::uint64_t seed, double mean = 0,
                            double deviation = 1) {
  Values values(dtype, count);
  RandomStream stream(seed, Purpose::test, 0, 0);
  for (std::int64_t i = 0; i < count; ++i) values.set(i, mean + deviation * static_cast<double>(stream.normal()));
  return values;
}

inline std::vector<float> random_floats(std::int64_t count, std::uint64_t seed, double mean = 0, double deviation = 1) {
  std::vector<float> values(static_cast<std::size_t>(count));
  RandomStream stream(seed, Purpose::test, 1, 0);
  for (float& value : values) value = static_cast<float>(mean + deviation * static_cast<double>(stream.normal()));
  return values;
}

inline std::int64_t offset_of(const ChannelView& v, std::int64_t n, std::int64_t c, std::int64_t p) {
  return ((n * v.groups + c / v.lanes) * v.pixels + p) * v.lanes + c % v.lanes;
}

/// The layouts that can hold [batch, channels, pixels]: NCHW, NHWC, and blocked ones (padded where they do not divide).
inline std::vector<ChannelView> layouts_of(std::int64_t batch, std::int64_t channels, std::int64_t pixels) {
  return {{batch, channels, pixels, 1},
          {batch, 1, pixels, channels},
          {batch, (channels + 7) / 8, pixels, 8},
          {batch, (channels + 15) / 16, pixels, 16}};
}

inline std::string describe(Isa isa, const ChannelView& v, DType dtype) {
  return std::string(name_of(isa)) + " " + std::string(name_of(dtype)) + " [" + std::to_string(v.batch) + "," +
         std::to_string(v.groups) + "," + std::to_string(v.pixels) + "," + std::to_string(v.lanes) + "]";
}

}  // namespace athanor::kernels::testing
