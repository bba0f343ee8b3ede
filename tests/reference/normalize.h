// What batch, layer and group normalisation share: a list of numbers brought to mean 0 and variance 1.
#pragma once

#include <vector>

#include "reference/number.h"

namespace athanor::reference {

struct Normalized {
  Number mean;
  Number variance;           ///< biased: divided by the count
  Number variance_unbiased;  ///< divided by the count - 1; of a single number: 0
  Number inv_std;            ///< 1 / sqrt(variance + eps)
  std::vector<Number> x_hat;
};

inline Normalized normalize(const std::vector<double>& x, double eps) {
  const auto count = static_cast<double>(x.size());
  Normalized result;
  Sum sum, squares;
  for (const double value : x) sum.add(value);
  result.mean = sum.total() / count;
  for (const double value : x) squares.add((value - result.mean) * (value - result.mean));
  result.variance = squares.total() / count;
  result.variance_unbiased = squares.total() / std::max(count - 1.0, 1.0);
  result.inv_std = 1.0 / sqrt(result.variance + eps);
  for (const double value : x) result.x_hat.push_back((value - result.mean) * result.inv_std);
  return result;
}

/// The gradient by x of sum(g * x_hat): inv_std * (g - mean(g) - x_hat * mean(g * x_hat)).
inline std::vector<Number> normalize_backward(const std::vector<Number>& g, const Normalized& normalized) {
  const auto count = static_cast<double>(g.size());
  Sum sum, products;
  for (std::size_t i = 0; i < g.size(); ++i) {
    sum.add(g[i]);
    products.add(g[i] * normalized.x_hat[i]);
  }
  std::vector<Number> dx;
  for (std::size_t i = 0; i < g.size(); ++i) {
    const Number centred = g[i] - sum.total() / count - normalized.x_hat[i] * (products.total() / count);
    dx.push_back(normalized.inv_std * centred);
  }
  return dx;
}

}  // namespace athanor::reference
