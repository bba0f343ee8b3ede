// Where the places of max pooling become bytes.
#include "backend/cuda/narrow_indices.h"

#include <gtest/gtest.h>

#include "graph/passes/gradient.h"
#include "graph/samples.h"

namespace athanor::testing {
namespace {

/// max_pool2d and its gradient: the dtype of the places after the pass. `is_output`: something else reads them too.
DType dtype_of_places(std::int64_t kernel, bool is_output) {
  using List = std::vector<std::int64_t>;
  Graph graph;
  Builder builder{graph};
  const ValueId x = builder.input("x", {1, 8, 40, 40}, DType::f16);
  const std::vector<ValueId> pooled = builder.add(
      "max_pool2d", {x}, {{"kernel", List{kernel, kernel}}, {"stride", List{2, 2}}, {"padding", List{0, 0}}});
  const ValueId dy = builder.input("dy", builder.shape(pooled[0]), DType::f16);
  std::vector<ValueId> gradients;
  Graph whole = differentiate(std::move(graph), std::vector{pooled[0]}, std::vector{dy}, std::vector{x}, gradients);
  whole.outputs = {pooled[0], gradients[0]};
  if (is_output) whole.outputs.push_back(pooled[1]);
  return cuda::narrow_indices(std::move(whole)).value(pooled[1]).dtype;
}

TEST(NarrowIndices, BytesWhereOnlyTheGradientReadsThemAndTheyFit) {
  EXPECT_EQ(dtype_of_places(3, false), DType::u8);
  EXPECT_EQ(dtype_of_places(16, false), DType::u8);
  EXPECT_EQ(dtype_of_places(17, false), DType::i32);
  EXPECT_EQ(dtype_of_places(3, true), DType::i32);
}

}  // namespace
}  // namespace athanor::testing
