#include "kernels/reduce.h"

#include <bit>

namespace athanor::kernels {
namespace {

template <typename T>
T sum_tree(const T* values, std::int64_t count) {
  if (count <= 1) return count == 1 ? values[0] : T{0};
  const auto left = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(count - 1)));
  return sum_tree(values, left) + sum_tree(values + left, count - left);
}

}  // namespace

float tree_sum(const float* values, std::int64_t count) {
  return sum_tree(values, count);
}
double tree_sum(const double* values, std::int64_t count) {
  return sum_tree(values, count);
}

}  // namespace athanor::kernels
