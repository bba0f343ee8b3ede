// What ops declare about themselves, held against what they do: the attributes that a node may have, and what the
// gradient of each op keeps from forward.
#include "graph/op.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "config/complete_attributes.h"
#include "graph/passes/gradient.h"
#include "graph/samples.h"
#include "reference/reference.h"
#include "support/op_call.h"

namespace athanor::graph_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// Adds a max pool "pool1" with that said about it; returns the message of the UsageError, or "" where there is none.
std::string refusal(const Attributes& attributes) {
  Sketch sketch({2, 3, 8, 8});
  const Scope scope(sketch.builder, "pool1");
  try {
    sketch.builder.add("max_pool2d", {sketch.x}, attributes);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

using List = std::vector<std::int64_t>;

TEST(OpAttributes, AreCheckedWhenANodeIsAdded) {
  EXPECT_EQ(refusal({{"kernel", List{2, 2}}, {"stride", List{2, 2}}, {"padding", List{0, 0}}}), "");
  EXPECT_THAT(refusal({{"kernel", List{2}}, {"strides", List{2}}}),
              AllOf(HasSubstr("pool1"), HasSubstr("max_pool2d"), HasSubstr("no attribute 'strides'"),
                    HasSubstr("did you mean 'stride'?")));
  EXPECT_THAT(refusal({{"kernel", std::int64_t{2}}, {"stride", List{2}}}),
              AllOf(HasSubstr("'kernel'"), HasSubstr("a list of 1 or 2 integers, at least 1"), HasSubstr("found 2")));
  EXPECT_THAT(refusal({{"kernel", List{0}}, {"stride", List{2}}}), HasSubstr("found [0]"));
  EXPECT_THAT(refusal({{"kernel", List{2, 2, 2}}, {"stride", List{2}}}), HasSubstr("found [2, 2, 2]"));
  EXPECT_THAT(refusal({{"kernel", List{2}}}), HasSubstr("'stride' is missing"));
}

TEST(OpAttributes, TakeTheirDefaults) {
  Sketch sketch({2, 3, 8, 8});
  sketch.builder.add("leaky_relu", {sketch.x});
  EXPECT_EQ(sketch.graph.nodes.back().attributes, (Attributes{{"slope", 0.01}}));
}

TEST(OpAttributes, OfRealsTextsAndFlagsHaveRangesChoicesAndTypes) {
  Sketch sketch({2, 3, 8, 8});
  const auto add = [&](const char* op, const Attributes& attributes) {
    sketch.builder.add(op, {sketch.x, sketch.x, sketch.x, sketch.x, sketch.x, kNoValue}, attributes);
  };
  EXPECT_THROW(add("batch_norm_inference", {{"eps", 0.0}}), UsageError);
  EXPECT_THROW(add("batch_norm_inference", {{"eps", std::int64_t{1}}}), UsageError);
  EXPECT_THROW(add("batch_norm_inference", {{"activation", std::string("tanh")}}), UsageError);
  EXPECT_THROW(add("batch_norm_inference", {{"residual", std::int64_t{1}}}), UsageError);
}

/// What the gradient of a case reads of its node.
BackwardNeeds reads_of_gradient(const OpDef& op, const testing::OpCall& call) {
  Graph graph;
  Builder builder(graph);
  std::vector<ValueId> inputs, wrt;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    inputs.push_back(kNoValue);
    if (!call.inputs[i]) continue;
    const DType dtype = testing::operand_dtype(op.name, i, DType::f32);
    inputs.back() = builder.input(fmt::format("in{}", i), Shape(std::span(call.inputs[i]->shape)), dtype);
    if (dtype == DType::f32) wrt.push_back(inputs.back());
  }
  const std::vector<ValueId> outputs = builder.add(op.name, inputs, call.attributes);
  const std::vector<ValueId> y{outputs[0]};
  const std::vector<ValueId> dy{builder.input("dy", graph.value(y[0]).shape, graph.value(y[0]).dtype)};
  std::vector<ValueId> gradients;
  graph = differentiate(std::move(graph), y, dy, wrt, gradients);
  const auto read = [&](ValueId value) {
    return std::any_of(graph.nodes.begin() + 1, graph.nodes.end(), [&](const Node& node) {
      return std::find(node.inputs.begin(), node.inputs.end(), value) != node.inputs.end();
    });
  };
  BackwardNeeds needs;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] != kNoValue && read(inputs[i])) needs.inputs.push_back(i);
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (read(outputs[i])) needs.outputs.push_back(i);
  }
  return needs;
}

void add_to(std::vector<std::size_t>& all, const std::vector<std::size_t>& more) {
  for (const std::size_t place : more) {
    if (std::find(all.begin(), all.end(), place) == all.end()) all.push_back(place);
  }
  std::sort(all.begin(), all.end());
}

class BackwardNeedsOf : public ::testing::TestWithParam<const OpDef*> {};

/// Over random cases, since optional inputs come and go.
TEST_P(BackwardNeedsOf, IsWhatItsGradientReads) {
  const OpDef& op = *GetParam();
  const reference::ReferenceOp* found = reference::find_reference(op.name);
  ASSERT_NE(found, nullptr) << "no reference draws cases of " << op.name;
  RandomStream stream(29, Purpose::test, 0, key_of(op.name));
  BackwardNeeds read;
  for (int i = 0; i < 20; ++i) {
    const BackwardNeeds of_case = reads_of_gradient(op, testing::op_call(op.name, found->random_case(stream)));
    add_to(read.inputs, of_case.inputs);
    add_to(read.outputs, of_case.outputs);
  }
  EXPECT_EQ(read.inputs, op.backward_needs.inputs);
  EXPECT_EQ(read.outputs, op.backward_needs.outputs);
}

std::vector<const OpDef*> ops_with_gradient() {
  std::vector<const OpDef*> ops = registered_ops();
  std::erase_if(ops, [](const OpDef* op) { return !op->gradient; });
  return ops;
}

INSTANTIATE_TEST_SUITE_P(EveryOp, BackwardNeedsOf, ::testing::ValuesIn(ops_with_gradient()),
                         [](const auto& info) { return info.param->name; });

TEST(OpBackwardNeeds, AreNoneWithoutAGradient) {
  for (const OpDef* op : registered_ops()) {
    EXPECT_TRUE(op->gradient || op->backward_needs == BackwardNeeds{}) << op->name;
  }
}

/// Passes put nodes in without the builder, or change what a node says: that too must be what its op has.
TEST(OpAttributes, OfAWholeTrainingGraphAreWhatTheOpsHave) {
  const Graph graph = training_graph(cifar_resnet(8), cifar(4));
  for (const Node& node : graph.nodes) {
    Attributes attributes = node.attributes;
    EXPECT_EQ(complete_attributes(node.op->attributes, attributes), "") << node.layer << " " << node.op->name;
    EXPECT_EQ(attributes, node.attributes) << node.layer << " " << node.op->name << " lacks defaults";
  }
}

}  // namespace
}  // namespace athanor::graph_test
