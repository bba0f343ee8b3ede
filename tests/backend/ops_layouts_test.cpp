// Ops that follow any activation layout give, in every layout, what they give on plain memory.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "backend/cpu/onednn.h"
#include "backend/cpu/op.h"
#include "backend/cpu/ops/support.h"
#include "base/random.h"
#include "graph/builder.h"

namespace athanor::cpu {
namespace {

using Bytes = std::vector<std::byte>;

/// The bytes of a value moved between plain memory and a layout.
Bytes moved(const Value& value, const Bytes& source, const Layout& from, const Layout& to) {
  if (from == to) return source;
  Bytes target(layout_bytes(value, to));
  Bytes copy = source;
  const auto a = describe(value.shape, value.dtype, from), b = describe(value.shape, value.dtype, to);
  dnnl::stream stream(engine());
  dnnl::memory in(a, engine(), copy.data()), out(b, engine(), target.data());
  dnnl::reorder(in, out).execute(stream, in, out);
  return target;
}

/// Numbers of either sign that no value of `inputs` shares; the same on every run.
Bytes drawn(const Value& value, std::uint32_t which) {
  Bytes bytes(static_cast<std::size_t>(value.shape.elements()) * size_of(value.dtype));
  const RandomStream stream(7, Purpose::dropout, 0, which);
  for (std::int64_t i = 0; i < value.shape.elements(); ++i) {
    const float number = uniform_from(stream.block(static_cast<std::uint32_t>(i / 4))[i % 4]) * 2 - 1;
    // Variances are positive, and indices lie within a window of four.
    if (value.dtype == DType::i32) {
      const auto index = static_cast<std::int32_t>((number + 1) * 1.999f);
      std::memcpy(bytes.data() + i * 4, &index, 4);
    } else if (value.dtype == DType::i64) {
      const std::int64_t index = i;
      std::memcpy(bytes.data() + i * 8, &index, 8);
    } else {
      const float kept = value.shape.rank() == 1 ? std::abs(number) + 0.5f : number;
      std::memcpy(bytes.data() + i * 4, &kept, 4);
    }
  }
  return bytes;
}

struct OpCase {
  std::string op;
  std::vector<std::pair<Shape, DType>> inputs;  ///< an empty shape: absent
  Attributes attributes;
  std::size_t follows = 0;
};

/// Runs the op with its inputs in `layout` where `choose` wants them there; returns its outputs on plain memory.
std::vector<Bytes> outputs_of(const OpCase& test, const Layout& layout, bool& used) {
  Graph graph;
  Builder builder(graph);
  std::vector<ValueId> inputs;
  for (std::size_t i = 0; i < test.inputs.size(); ++i) {
    const auto& [shape, dtype] = test.inputs[i];
    inputs.push_back(shape.rank() == 0 ? kNoValue : builder.input("x" + std::to_string(i), shape, dtype));
  }
  const std::vector<ValueId> outputs = builder.add(test.op, inputs, test.attributes);
  const Node& node = graph.node(graph.value(outputs[0]).producer);
  std::vector<Layout> now;
  for (const ValueId input : inputs) {
    const bool has_layout =
        input != kNoValue && graph.value(input).shape.rank() == 4 && divides(layout, graph.value(input));
    now.push_back(input == kNoValue ? Layout{} : has_layout ? layout : kPlain);
  }
  const CpuOp& op = *find_cpu_op(test.op);
  const NodeChoice choice = op.choose({graph, node, now, 2});
  used = choice.inputs[test.follows] == layout || choice.outputs[0] == layout;
  std::vector<Bytes> memory;
  std::vector<void*> in, out;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    memory.push_back(inputs[i] == kNoValue
                         ? Bytes{}
                         : moved(graph.value(inputs[i]), drawn(graph.value(inputs[i]), static_cast<std::uint32_t>(i)),
                                 kPlain, choice.inputs[i]));
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    memory.emplace_back(layout_bytes(graph.value(outputs[i]), choice.outputs[i]), std::byte{0x7f});
  }
  for (std::size_t i = 0; i < memory.size(); ++i) {
    (i < inputs.size() ? in : out).push_back(memory[i].empty() ? nullptr : memory[i].data());
  }
  Bytes scratch(choice.scratch_bytes + 64);
  void* aligned = scratch.data() + (64 - reinterpret_cast<std::uintptr_t>(scratch.data()) % 64) % 64;
  op.prepare(
      {graph, node, in, out, choice.inputs, choice.outputs, aligned, 2, 42, choice.implementation, choice.algorithm})();
  std::vector<Bytes> results;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    results.push_back(moved(graph.value(outputs[i]), memory[inputs.size() + i], choice.outputs[i], kPlain));
  }
  return results;
}

/// Sums run in another order in another layout: a few hundred elements of size 1, so 1e-5 of the scale covers it.
void expect_close(const OpCase& test, const Layout& layout, const Bytes& got, const Bytes& want) {
  ASSERT_EQ(got.size(), want.size()) << test.op;
  for (std::size_t i = 0; i + 4 <= got.size(); i += 4) {
    float a, b;
    std::memcpy(&a, got.data() + i, 4);
    std::memcpy(&b, want.data() + i, 4);
    if (std::memcmp(&a, &b, 4) == 0) continue;
    ASSERT_LE(std::abs(a - b), 1e-5f * (1 + std::abs(b))) << test.op << " in " << layout << " at element " << i / 4;
  }
}

const std::pair<Shape, DType> kAbsent{{}, DType::f32};
std::pair<Shape, DType> f32(const Shape& shape) {
  return {shape, DType::f32};
}

std::vector<OpCase> cases() {
  const auto x = f32({2, 32, 4, 6}), half = f32({2, 32, 2, 3}), channel = f32({32}), scales = f32({2, 32});
  const std::pair<Shape, DType> index{{2, 32, 2, 3}, DType::i32}, samples{{2}, DType::i64}, epoch{{1}, DType::i64};
  using List = std::vector<std::int64_t>;
  const Attributes norm{{"eps", 1e-5}, {"momentum", 0.1}, {"activation", std::string("relu")}, {"residual", false}};
  Attributes residual = norm;
  residual.set("residual", true);
  const Attributes window{{"kernel", List{2, 2}}, {"stride", List{2, 2}}};
  Attributes window_backward = window;
  window_backward.set("input_size", List{4, 6});
  const Attributes random{{"rate", 0.4}, {"key", std::int64_t{99}}};
  std::vector<OpCase> all{
      {"batch_norm", {x, channel, channel, kAbsent}, norm},
      {"batch_norm", {x, channel, channel, x}, residual},
      {"batch_norm_backward", {x, x, channel, channel, channel, channel, kAbsent, kAbsent}, norm, 1},
      {"batch_norm_backward", {x, x, channel, channel, channel, channel, x, x}, residual, 1},
      {"batch_norm_inference", {x, channel, channel, channel, channel, x}, norm},
      {"add", {x, x}, {}},
      {"scale", {x, scales}, {}},
      {"scale_backward", {x, x, scales}, {}, 1},
      {"concat", {x, f32({2, 16, 4, 6}), x}, {}},
      {"concat", {x, f32({2, 5, 4, 6})}, {}},
      {"concat_backward", {x}, {{"channels", List{16, 16}}}},
      {"concat_backward", {x}, {{"channels", List{27, 5}}}},
      {"pad", {x}, {{"pads", List{1, 2, 0, 3}}}},
      {"pad_backward", {x}, {{"pads", List{1, 0, 2, 1}}}},
      {"shortcut_a", {x}, {{"stride", std::int64_t{2}}, {"channels", std::int64_t{64}}}},
      {"shortcut_a", {x}, {{"stride", std::int64_t{1}}, {"channels", std::int64_t{37}}}},
      {"shortcut_a_backward", {half}, {{"stride", std::int64_t{2}}, {"input_shape", List{16, 4, 6}}}},
      {"max_pool2d", {x}, window},
      {"max_pool2d_backward", {half, index}, window_backward, 1},
      {"avg_pool2d", {x}, window},
      {"avg_pool2d_backward", {half}, window_backward},
      {"global_avg_pool", {x}, {}},
      {"dropout", {x, samples, epoch}, random},
      {"stochastic_depth", {x, samples, epoch}, random},
  };
  for (const char* name : {"relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu"}) {
    all.push_back({name, {x}, {}});
    all.push_back({std::string(name) + "_backward", {x, x}, {}, 1});
  }
  return all;
}

TEST(OpsInEveryLayout, GiveWhatTheyGiveOnPlainMemory) {
  for (const OpCase& test : cases()) {
    bool used = false;
    const std::vector<Bytes> want = outputs_of(test, kPlain, used);
    for (const char* layout : {"nhwc", "nChw16c", "nChw8c"}) {
      const std::vector<Bytes> got = outputs_of(test, layout, used);
      EXPECT_TRUE(used) << test.op << " does not follow " << layout;
      ASSERT_EQ(got.size(), want.size());
      for (std::size_t i = 0; i < got.size(); ++i) expect_close(test, layout, got[i], want[i]);
    }
  }
}

TEST(OpsInEveryLayout, GradientOfTheGlobalPoolIsInAConvolutionsLayout) {
  Graph graph;
  Builder builder(graph);
  const ValueId dy = builder.input("dy", {2, 64}, DType::f32);
  const ValueId dx = builder.add1("global_avg_pool_backward", {dy}, {{"input_size", std::vector<std::int64_t>{8, 8}}});
  const std::vector<Layout> now{kPlain};
  const NodeChoice choice =
      find_cpu_op("global_avg_pool_backward")->choose({graph, graph.node(graph.value(dx).producer), now, 1});
  EXPECT_EQ(choice.outputs[0], blocked_layout());
}

}  // namespace
}  // namespace athanor::cpu
