#include "reference/tensor.h"

#include <utility>

namespace athanor::reference {

Result result_of(const Numbers& numbers) {
  Result result{Tensor(numbers.shape), Tensor(numbers.shape)};
  for (std::int64_t i = 0; i < numbers.elements(); ++i) {
    result.value[i] = numbers[i].value;
    result.bound[i] = stored_error(numbers[i]);
  }
  return result;
}

Result result_of(const Sums& sums) {
  Numbers totals(sums.shape);
  for (std::int64_t i = 0; i < sums.elements(); ++i) totals[i] = sums[i].total();
  return result_of(totals);
}

Result exact_result(Tensor value) {
  Tensor bound(value.shape);
  return {std::move(value), std::move(bound)};
}

Tensor uniform_tensor(Extents shape, RandomStream& stream, float low, float high) {
  Tensor tensor(std::move(shape));
  for (double& value : tensor.values) value = stream.uniform(low, high);
  return tensor;
}

Tensor tensor_away_from_zero(Extents shape, RandomStream& stream, float margin) {
  Tensor tensor(std::move(shape));
  for (double& value : tensor.values) {
    const float magnitude = stream.uniform(margin, 1.0f);
    value = stream.below(2) == 0 ? magnitude : -magnitude;
  }
  return tensor;
}

Tensor distinct_tensor(Extents shape, RandomStream& stream) {
  Tensor tensor(std::move(shape));
  const std::int64_t count = tensor.elements();
  for (std::int64_t i = 0; i < count; ++i) tensor[i] = static_cast<double>(i - count / 2) * 0x1p-8;
  for (std::int64_t i = count - 1; i > 0; --i) {
    std::swap(tensor[i], tensor[stream.below(static_cast<std::uint32_t>(i + 1))]);
  }
  return tensor;
}

Tensor rounded_to_float(Tensor tensor) {
  for (double& value : tensor.values) value = static_cast<double>(static_cast<float>(value));
  return tensor;
}

}  // namespace athanor::reference
