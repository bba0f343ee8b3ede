// The scalar of the reference mathematics: a double that carries how wrong a float32 computation of it may be.
// `error` is a scale in units of 8 * 2^-24: a float32 result passes when |result - value| <= 8 * 2^-24 * error.
//
// Where the scale comes from (first-order running error analysis):
// - inputs are exact float32 numbers, scale 0;
// - a sum of n terms adds sqrt(n) * ||terms||_2, the project's tolerance for sums, to the scales of its terms;
//   a + b is a sum of two terms;
// - products and quotients pass their operands' scales on; their own rounding (2^-24 relative, an eighth of a unit) is
//   covered by the sum that takes them, or by `stored_error` when nothing does;
// - a function f passes |f'| * scale on and adds |f|: vector libraries are good to four units in the last place.
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>

namespace athanor::reference {

/// One unit of error scale: tolerance = kErrorUnit * bound.
constexpr double kErrorUnit = 8.0 * 0x1p-24;

struct Number {
  double value = 0;
  double error = 0;

  Number() = default;
  Number(double exact) : value(exact) {}  // NOLINT: inputs turn into numbers wherever they are used
  Number(double value_, double error_) : value(value_), error(error_) {}
};

/// A sum of n terms, which is what the tolerance is defined on.
class Sum {
 public:
  void add(Number term) {
    value_ += term.value;
    squares_ += term.value * term.value;
    errors_ += term.error;
    count_ += 1;
  }
  Number total() const { return {value_, std::sqrt(count_ * squares_) + errors_}; }

 private:
  double value_ = 0;
  double squares_ = 0;
  double errors_ = 0;
  double count_ = 0;
};

inline Number operator-(Number a) {
  return {-a.value, a.error};
}
inline Number operator+(Number a, Number b) {
  const double rounding = std::sqrt(2.0 * (a.value * a.value + b.value * b.value));
  return {a.value + b.value, a.error + b.error + rounding};
}
inline Number operator-(Number a, Number b) {
  return a + -b;
}
inline Number operator*(Number a, Number b) {
  return {a.value * b.value, std::abs(a.value) * b.error + std::abs(b.value) * a.error};
}
inline Number operator/(Number a, Number b) {
  const double quotient = a.value / b.value;
  return {quotient, (a.error + std::abs(quotient) * b.error) / std::abs(b.value)};
}

/// f(x) from its value and its derivative at x.
inline Number through(Number x, double value, double derivative) {
  return {value, std::abs(derivative) * x.error + std::abs(value)};
}
inline Number exp(Number x) {
  return through(x, std::exp(x.value), std::exp(x.value));
}
inline Number log(Number x) {
  return through(x, std::log(x.value), 1.0 / x.value);
}
inline Number log1p(Number x) {
  return through(x, std::log1p(x.value), 1.0 / (1.0 + x.value));
}
inline Number sqrt(Number x) {
  return through(x, std::sqrt(x.value), 0.5 / std::sqrt(x.value));
}
inline Number tanh(Number x) {
  const double y = std::tanh(x.value);
  return through(x, y, 1.0 - y * y);
}
inline Number erf(Number x) {
  return through(x, std::erf(x.value), 2.0 * std::numbers::inv_sqrtpi * std::exp(-x.value * x.value));
}
inline Number relu(Number x) {
  return {std::max(x.value, 0.0), x.error};
}

/// The scale of a stored element: storing alone rounds the value once.
inline double stored_error(Number x) {
  return std::max(x.error, std::abs(x.value));
}

}  // namespace athanor::reference
