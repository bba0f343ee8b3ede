// reorder and cast move values between layouts and element types without changing a number.
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "backend/cpu/onednn.h"
#include "backend/cpu/op.h"
#include "base/dtype.h"
#include "graph/builder.h"

namespace athanor::cpu {
namespace {

struct Move {
  Shape shape;
  Layout from, to;
  DType from_dtype = DType::f32, to_dtype = DType::f32;
};

/// Runs `op` over `bytes` that lie in the first layout and type; returns the target's memory.
std::vector<char> run(const Move& move, std::vector<char>& source) {
  Graph graph;
  Builder builder(graph);
  const ValueId x = builder.input("x", move.shape, move.from_dtype);
  const bool is_cast = move.from_dtype != move.to_dtype;
  const ValueId y = is_cast ? builder.add1("cast", {x}, {{"dtype", std::string(name_of(move.to_dtype))}})
                            : builder.add1("reorder", {x}, {});
  const Node& node = graph.node(graph.value(y).producer);
  std::vector<char> target(layout_bytes(graph.value(y), move.to));
  const std::vector<void*> inputs{source.data()}, outputs{target.data()};
  const std::vector<Layout> from{move.from}, to{move.to};
  find_cpu_op(node.op->name)->prepare({graph, node, inputs, outputs, from, to, nullptr, 2, 0})();
  return target;
}

std::vector<char> counted(const Shape& shape) {
  std::vector<float> values(static_cast<std::size_t>(shape.elements()));
  std::iota(values.begin(), values.end(), 1.0f);
  std::vector<char> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::vector<Move> round_trips() {
  return {{{2, 3, 5, 7}, kPlain, "nhwc"},
          {{2, 32, 3, 3}, kPlain, "nChw16c"},
          {{2, 24, 3, 3}, kPlain, "nChw8c"},
          {{32, 16, 3, 3}, kPlain, "OIhw16i16o"},
          {{16, 3, 3, 3}, kPlain, "Ohwi16o"},
          {{64, 16, 3, 3}, kPlain, "g4:gOIhw16i16o"},
          {{20, 5, 3, 3}, kPlain, "g2:gOIhw16i16o"},
          {{32, 1, 3, 3}, kPlain, "g32:Goihw16g"},
          {{12, 2, 1, 1}, kPlain, "g3:hwigo"}};
}

TEST(Reorder, ThereAndBackIsTheSameBytes) {
  for (const Move& there : round_trips()) {
    std::vector<char> plain = counted(there.shape);
    std::vector<char> moved = run(there, plain);
    EXPECT_NE(moved, plain) << there.to;
    EXPECT_EQ(run({there.shape, there.to, there.from}, moved), plain) << there.to;
  }
}

TEST(Reorder, ChannelsLastPutsChannelsNextToEachOther) {
  std::vector<char> plain = counted({1, 2, 1, 3});
  const std::vector<char> moved = run({{1, 2, 1, 3}, kPlain, "nhwc"}, plain);
  const std::vector<float> want{1, 4, 2, 5, 3, 6};
  EXPECT_EQ(std::memcmp(moved.data(), want.data(), moved.size()), 0);
}

TEST(Reorder, ALayoutThatPadsWritesZerosThere) {
  std::vector<char> plain = counted({1, 3, 1, 1});
  const std::vector<char> moved = run({{1, 3, 1, 1}, kPlain, "nChw8c"}, plain);
  const std::vector<float> want{1, 2, 3, 0, 0, 0, 0, 0};
  ASSERT_EQ(moved.size(), want.size() * sizeof(float));
  EXPECT_EQ(std::memcmp(moved.data(), want.data(), moved.size()), 0);
}

TEST(Reorder, TheNameOfAGroupedLayoutIsUnderstood) {
  const Shape weights{32, 1, 3, 3};
  const dnnl::memory::desc desc({32, 1, 1, 3, 3}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::Goihw16g);
  const Layout name = name_layout(desc, weights, DType::f32, 32);
  EXPECT_EQ(name, "g32:Goihw16g");
  EXPECT_EQ(groups_of(name), 32);
  EXPECT_TRUE(describe(weights, DType::f32, name) == desc);
  EXPECT_EQ(groups_of("gOIhw16i16o"), 1);
}

TEST(Cast, RoundsToNearestEvenAndMovesInOneGo) {
  std::vector<char> plain = counted({4, 2, 3, 1});
  const std::vector<float> fractions{1.00390625f, 1.01171875f};  // 1 + 2^-8 and 1 + 3 · 2^-8: halfway between bfloat16s
  std::memcpy(plain.data(), fractions.data(), sizeof(float) * 2);
  const Move same{{4, 2, 3, 1}, kPlain, kPlain, DType::f32, DType::bf16};
  const Move moving{{4, 2, 3, 1}, kPlain, "nhwc", DType::f32, DType::bf16};
  std::vector<char> flat = run(same, plain);
  std::vector<BFloat16> values(flat.size() / 2);
  std::memcpy(values.data(), flat.data(), flat.size());
  EXPECT_EQ(static_cast<float>(values[0]), 1.0f);
  EXPECT_EQ(static_cast<float>(values[1]), 1.015625f);
  EXPECT_EQ(static_cast<float>(values[2]), 3.0f);
  const Move back{{4, 2, 3, 1}, kPlain, "nhwc", DType::bf16, DType::bf16};
  EXPECT_EQ(run(moving, plain), run(back, flat));
}

}  // namespace
}  // namespace athanor::cpu
