#include "support/op_runner.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/arena.h"
#include "backend/cpu/onednn.h"
#include "backend/cpu/planner.h"
#include "backend/cpu/program.h"
#include "base/error.h"
#include "graph/builder.h"
#include "graph/passes/dead_code.h"
#include "graph/passes/fusion.h"
#include "graph/passes/gradient.h"
#include "graph/plan.h"

namespace athanor::testing {
namespace {

using reference::Tensor;

/// The CPU's planner, but a reorder that says where to goes there.
class ForcedReorders : public cpu::CpuPlanner {
 public:
  using CpuPlanner::CpuPlanner;
  NodeChoice choose(const Graph& graph, const Node& node, std::span<const Layout> inputs) override {
    const Layout to = node.op->name == "reorder" ? node.attributes.text("to") : "";
    if (to.empty()) return CpuPlanner::choose(graph, node, inputs);
    return {.inputs = {inputs[0]}, .outputs = {to}, .implementation = "reorder", .scratch_bytes = 0};
  }
};

Shape shape_of(const Tensor& tensor) {
  return Shape(std::span(tensor.shape));
}

template <typename T>
void write_as(const Tensor& tensor, void* target) {
  std::transform(tensor.values.begin(), tensor.values.end(), static_cast<T*>(target),
                 [](double value) { return static_cast<T>(value); });
}

void write(const Value& value, const Tensor& tensor, void* target) {
  ATHANOR_CHECK(value.shape.elements() == tensor.elements(), "input {} has {} elements", value.name, tensor.elements());
  switch (value.dtype) {
    case DType::f32:
      return write_as<float>(tensor, target);
    case DType::i32:
      return write_as<std::int32_t>(tensor, target);
    case DType::i64:
      return write_as<std::int64_t>(tensor, target);
    case DType::u8:
      return write_as<std::uint8_t>(tensor, target);
    default:
      ATHANOR_CHECK(false, "no test feeds {}", name_of(value.dtype));
  }
}

/// The bytes of a value in logical order, whatever layout it lies in.
std::vector<std::byte> logical_bytes(const Value& value, const Layout& layout, void* source) {
  std::vector<std::byte> bytes(BackendPlanner::dense_bytes(value));
  if (layout == kPlain) {
    std::memcpy(bytes.data(), source, bytes.size());
    return bytes;
  }
  const std::int64_t groups = cpu::groups_of(layout);
  const dnnl::memory::desc from = cpu::describe(value.shape, value.dtype, layout, groups);
  const dnnl::memory::desc to = cpu::describe(value.shape, value.dtype, kPlain, groups);
  const dnnl::reorder::primitive_desc desc(cpu::engine(), from, cpu::engine(), to);
  cpu::bind_primitive(dnnl::reorder(desc),
                      {{DNNL_ARG_FROM, from, source}, {DNNL_ARG_TO, to, static_cast<void*>(bytes.data())}})();
  return bytes;
}

template <typename T>
double element_of(const std::vector<std::byte>& bytes, std::size_t element) {
  T value;
  std::memcpy(&value, bytes.data() + element * sizeof(T), sizeof(T));
  if constexpr (std::is_same_v<T, BFloat16>)
    return static_cast<double>(static_cast<float>(value));
  else
    return static_cast<double>(value);
}

Tensor read(const Value& value, const Layout& layout, void* source) {
  const std::vector<std::byte> bytes = logical_bytes(value, layout, source);
  Tensor tensor(reference::Extents(value.shape.extents().begin(), value.shape.extents().end()));
  for (std::size_t e = 0; e < tensor.values.size(); ++e) {
    tensor.values[e] = value.dtype == DType::f32    ? element_of<float>(bytes, e)
                       : value.dtype == DType::bf16 ? element_of<BFloat16>(bytes, e)
                                                    : element_of<std::int32_t>(bytes, e);
  }
  return tensor;
}

cpu::ArenaMemory poisoned(std::size_t bytes) {
  cpu::ArenaMemory memory(std::max<std::size_t>(bytes, 64));
  std::memset(memory.data(), 0xff, memory.bytes());
  return memory;
}

/// A call as nodes of a graph: `operands` are what the op reads, `outputs` what it gives.
struct OpGraph {
  Graph graph;
  Feeds feeds;
  std::vector<ValueId> operands;
  std::vector<ValueId> outputs;
};

ValueId feed(OpGraph& built, Builder& builder, const Tensor& tensor, DType dtype, const std::string& name) {
  const bool is_cast = dtype == DType::bf16 || dtype == DType::f16;
  const ValueId input = builder.input(name, shape_of(tensor), is_cast ? DType::f32 : dtype);
  built.feeds.emplace_back(input, tensor);
  return is_cast ? builder.add1("cast", {input}, {{"dtype", std::string(name_of(dtype))}}) : input;
}

std::int64_t block_of(const Layout& layout) {
  return layout == "nChw16c" ? 16 : layout == "nChw8c" ? 8 : 1;
}

void feed_operands(OpGraph& built, Builder& builder, const OpCall& call, const RunOptions& options) {
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    if (!call.inputs[i]) {
      built.operands.push_back(kNoValue);
      continue;
    }
    const Tensor& tensor = *call.inputs[i];
    ValueId operand = feed(built, builder, tensor, operand_dtype(call.op, i, options.dtype), fmt::format("in{}", i));
    if (options.layout != kPlain && is_image(call.op, i, tensor) && tensor.shape[1] % block_of(options.layout) == 0) {
      operand = builder.add1("reorder", {operand}, {{"to", options.layout}});
    }
    built.operands.push_back(operand);
  }
}

GraphRunner run_by(const RunOptions& options) {
  return options.runner ? options.runner : run_graph;
}

/// The op with its residual and activation as nodes of their own.
ValueId add_parts(Builder& builder, const OpCall& call, std::vector<ValueId> operands) {
  Attributes attributes = call.attributes;
  ValueId residual = kNoValue;
  if (call.op == "batch_norm") {
    std::swap(residual, operands[3]);
    attributes.set("residual", false);
  }
  const bool has_relu = reference::attribute_or<std::string>(attributes, "activation", "none") == "relu";
  if (has_relu) attributes.set("activation", std::string("none"));
  ValueId y = builder.add1(call.op, std::move(operands), attributes);
  if (residual != kNoValue) y = builder.add1("add", {y, residual});
  return has_relu ? builder.add1("relu", {y}) : y;
}

}  // namespace

std::vector<Tensor> run_graph(const Graph& graph, const Feeds& feeds, const RunOptions& options) {
  ForcedReorders planner(options.threads, options.convolutions);
  const Plan plan = make_plan(graph, planner, 1, options.threads);
  const cpu::ArenaMemory state = poisoned(plan.state_elements * sizeof(float));
  const cpu::ArenaMemory outputs = poisoned(plan.output_elements * sizeof(float));
  const cpu::ArenaMemory shared = poisoned(plan.shared_bytes), lane = poisoned(plan.lane_bytes);
  const Arenas arenas{state.data(), outputs.data(), shared.data(), lane.data()};
  const cpu::TeamSize team(options.threads);
  cpu::place_constants(plan, arenas);
  for (const auto& [value, tensor] : feeds) write(plan.graph.value(value), tensor, address_of(plan, arenas, value));
  for (const auto& part : cpu::bind_prologue(plan, arenas, 1, options.seed)) {
    for (const cpu::Step& step : part) step();
  }
  cpu::ShardProgram(plan, arenas, options.seed).run();
  std::vector<Tensor> results;
  for (const ValueId output : plan.graph.outputs) {
    results.push_back(read(plan.graph.value(output), plan.buffers[static_cast<std::size_t>(output)].layout,
                           address_of(plan, arenas, output)));
  }
  return results;
}

std::vector<Tensor> run_op(const OpCall& call, const RunOptions& options) {
  OpGraph built;
  Builder builder(built.graph);
  feed_operands(built, builder, call, options);
  built.graph.outputs = builder.add(call.op, built.operands, call.attributes);
  RunOptions seeded = options;
  seeded.seed = call.seed;
  std::vector<Tensor> outputs = run_by(options)(built.graph, built.feeds, seeded);
  to_reference_outputs(call, outputs);
  return outputs;
}

GradientRun run_gradient(const OpCall& call, const Tensor& output_gradient, const RunOptions& options) {
  OpGraph built;
  Builder builder(built.graph);
  feed_operands(built, builder, call, options);
  const std::vector<ValueId> y{add_parts(builder, call, built.operands)};
  const std::vector<ValueId> seeds{feed(built, builder, output_gradient, built.graph.value(y[0]).dtype, "dy")};
  std::vector<ValueId> wrt, gradients;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < built.operands.size(); ++i) {
    const ValueId operand = built.operands[i];
    if (operand == kNoValue) continue;
    const DType dtype = built.graph.value(operand).dtype;
    if (dtype != DType::f32 && dtype != DType::bf16 && dtype != DType::f16) continue;
    wrt.push_back(operand);
    places.push_back(i);
  }
  Graph graph = differentiate(std::move(built.graph), y, seeds, wrt, gradients);
  for (const ValueId gradient : gradients) {
    if (gradient != kNoValue) graph.outputs.push_back(gradient);
  }
  graph = fuse(remove_dead_code(std::move(graph)));
  RunOptions seeded = options;
  seeded.seed = call.seed;
  std::vector<Tensor> values = run_by(options)(graph, built.feeds, seeded);

  GradientRun run;
  for (const Node& node : graph.nodes) run.ops.insert(node.op->name);
  run.gradients.resize(call.inputs.size());
  std::size_t next = 0;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i] != kNoValue) run.gradients[places[i]] = std::move(values[next++]);
  }
  return run;
}

}  // namespace athanor::testing
