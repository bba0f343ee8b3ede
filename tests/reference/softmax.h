// Softmax of one row, shared by the softmax op and the cross-entropy.
#pragma once

#include <algorithm>
#include <vector>

#include "reference/tensor.h"

namespace athanor::reference {

/// log(softmax(x[n, :])) = x - max - log(sum(exp(x - max))).
inline std::vector<Number> log_softmax_row(const Tensor& x, std::int64_t n) {
  const auto first = x.values.begin() + n * x.shape[1];
  const Number largest = *std::max_element(first, first + x.shape[1]);
  Sum sum;
  for (std::int64_t k = 0; k < x.shape[1]; ++k) sum.add(exp(x.at(n, k) - largest));
  std::vector<Number> row;
  for (std::int64_t k = 0; k < x.shape[1]; ++k) row.push_back(x.at(n, k) - largest - log(sum.total()));
  return row;
}

inline std::vector<Number> softmax_row(const Tensor& x, std::int64_t n) {
  const auto first = x.values.begin() + n * x.shape[1];
  const Number largest = *std::max_element(first, first + x.shape[1]);
  Sum sum;
  std::vector<Number> row;
  for (std::int64_t k = 0; k < x.shape[1]; ++k) {
    row.push_back(exp(x.at(n, k) - largest));
    sum.add(row.back());
  }
  for (Number& value : row) value = value / sum.total();
  return row;
}

}  // namespace athanor::reference
