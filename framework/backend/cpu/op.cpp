#include "backend/cpu/op.h"

#include <fmt/format.h>

#include <map>

#include "base/error.h"
#include "graph/op.h"
#include "kernels/isa.h"

namespace athanor::cpu {
namespace {

std::map<std::string, CpuOp, std::less<>>& table() {
  static std::map<std::string, CpuOp, std::less<>> ops;
  return ops;
}

}  // namespace

RegisterCpuOp::RegisterCpuOp(std::string_view name, CpuOp op) {
  ATHANOR_CHECK(table().emplace(name, std::move(op)).second, "CPU op '{}' is registered twice", name);
}

std::string own_implementation(std::string_view kernel) {
  return fmt::format("athanor:{}:{}", kernel, kernels::name_of(kernels::active_isa()));
}

const CpuOp* find_cpu_op(std::string_view name) {
  const auto found = table().find(name);
  return found == table().end() ? nullptr : &found->second;
}

void check_planned(const Binding& binding, std::string_view what, std::string_view planned, std::string_view made) {
  ATHANOR_CHECK(planned == made, "layer {}: the {} of {} is planned as {}, but {} was made", binding.node.layer, what,
                binding.node.op->name, planned, made);
}

NodeChoice choose_plain(const ChooseContext& context) {
  return athanor::choose_plain(context, own_implementation(context.node.op->name));
}

NodeChoice choose_same(const ChooseContext& context) {
  NodeChoice choice = choose_plain(context);
  const Layout layout = context.inputs[0].empty() ? kPlain : context.inputs[0];
  const std::size_t rank = context.input(0).shape.rank();
  for (std::size_t i = 0; i < choice.inputs.size(); ++i) {
    if (context.has_input(i) && context.input(i).shape.rank() == rank) choice.inputs[i] = layout;
  }
  for (std::size_t i = 0; i < choice.outputs.size(); ++i) {
    if (context.output(i).shape.rank() == rank) choice.outputs[i] = layout;
  }
  return choice;
}

std::function<NodeChoice(const ChooseContext&)> plain_kernel(std::string name) {
  return [name = std::move(name)](const ChooseContext& context) {
    NodeChoice choice = choose_plain(context);
    choice.implementation = own_implementation(name);
    return choice;
  };
}

std::function<NodeChoice(const ChooseContext&)> same_layout_kernel(std::string name) {
  return [name = std::move(name)](const ChooseContext& context) {
    NodeChoice choice = choose_same(context);
    choice.implementation = own_implementation(name);
    return choice;
  };
}

kernels::ChannelView view_of(const Value& value, const Layout& layout) {
  const Shape& shape = value.shape;
  if (shape.rank() == 2) return {.batch = shape[0], .groups = 1, .pixels = 1, .lanes = shape[1]};
  ATHANOR_CHECK(shape.rank() == 4, "value {} has shape {}", value.name, shape.text());
  const std::int64_t pixels = shape[2] * shape[3];
  if (layout == kPlain) return {.batch = shape[0], .groups = shape[1], .pixels = pixels, .lanes = 1};
  if (layout == "nhwc") return {.batch = shape[0], .groups = 1, .pixels = pixels, .lanes = shape[1]};
  const std::int64_t lanes = layout == "nChw16c" ? 16 : layout == "nChw8c" ? 8 : 0;
  ATHANOR_CHECK(lanes != 0 && shape[1] % lanes == 0, "value {} {} cannot be seen as {}", value.name, shape.text(),
                layout);
  return {.batch = shape[0], .groups = shape[1] / lanes, .pixels = pixels, .lanes = lanes};
}

}  // namespace athanor::cpu
