// Plain row-major arrays of the reference mathematics, in logical layouts (NCHW, OIHW, NF): no strides, no views.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "reference/number.h"

namespace athanor::reference {

using Extents = std::vector<std::int64_t>;

inline std::int64_t product(const Extents& shape) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  return count;
}

template <typename T>
struct Array {
  Extents shape;
  std::vector<T> values;

  Array() = default;
  Array(Extents shape_, std::vector<T> values_) : shape(std::move(shape_)), values(std::move(values_)) {}
  explicit Array(Extents shape_) : shape(std::move(shape_)), values(static_cast<std::size_t>(product(shape))) {}

  std::int64_t elements() const { return static_cast<std::int64_t>(values.size()); }
  T& operator[](std::int64_t element) { return values.at(static_cast<std::size_t>(element)); }
  const T& operator[](std::int64_t element) const { return values.at(static_cast<std::size_t>(element)); }

  /// The element at one index per axis, as in `x.at(n, c, h, w)`.
  template <typename... Index>
  T& at(Index... index) {
    return (*this)[offset(index...)];
  }
  template <typename... Index>
  const T& at(Index... index) const {
    return (*this)[offset(index...)];
  }

 private:
  template <typename... Index>
  std::int64_t offset(Index... index) const {
    std::int64_t result = 0;
    std::size_t axis = 0;
    ((result = result * shape[axis++] + static_cast<std::int64_t>(index)), ...);
    return result;
  }
};

/// Values of any dtype, held as doubles (integers below 2^53 are exact).
using Tensor = Array<double>;
using Numbers = Array<Number>;
using Sums = Array<Sum>;

/// What the reference says about one output: a float32 `result` passes when, element by element,
/// |result - value| <= kErrorUnit * bound. For a plain sum bound = sqrt(n) * ||terms||_2; 0 where the op only copies.
struct Result {
  Tensor value;
  Tensor bound;
};

Result result_of(const Numbers& numbers);
Result result_of(const Sums& sums);
/// For ops that move or choose elements: no rounding is allowed.
Result exact_result(Tensor value);

/// Uniform float32 numbers in [low, high).
Tensor uniform_tensor(Extents shape, RandomStream& stream, float low = -1.0f, float high = 1.0f);
/// Uniform in ±[margin, 1): away from a kink at 0.
Tensor tensor_away_from_zero(Extents shape, RandomStream& stream, float margin = 0.05f);
/// Numbers that all differ by at least 2^-8, in random order: no ties, and none near.
Tensor distinct_tensor(Extents shape, RandomStream& stream);
/// Every value rounded to float32, for inputs that are computed and not drawn.
Tensor rounded_to_float(Tensor tensor);

}  // namespace athanor::reference
