#include "backend/cuda/op.h"

#include <fmt/format.h>

#include <map>

#include "base/error.h"
#include "graph/op.h"

namespace athanor::cuda {
namespace {

std::map<std::string, CudaOp, std::less<>>& table() {
  static std::map<std::string, CudaOp, std::less<>> ops;
  return ops;
}

}  // namespace

RegisterCudaOp::RegisterCudaOp(std::string_view name, CudaOp op) {
  ATHANOR_CHECK(table().emplace(name, std::move(op)).second, "CUDA op '{}' is registered twice", name);
}

const CudaOp* find_cuda_op(std::string_view name) {
  const auto found = table().find(name);
  return found == table().end() ? nullptr : &found->second;
}

std::string own_implementation(std::string_view kernel) {
  return fmt::format("athanor:{}", kernel);
}

NodeChoice choose_nhwc(const CudaChooseContext& context, std::string_view kernel) {
  NodeChoice choice = choose_plain(context, own_implementation(kernel));
  for (std::size_t i = 0; i < choice.inputs.size(); ++i) {
    if (context.has_input(i) && context.input(i).shape.rank() == 4) choice.inputs[i] = kNhwc;
  }
  for (std::size_t i = 0; i < choice.outputs.size(); ++i) {
    if (context.has_output(i) && context.output(i).shape.rank() == 4) choice.outputs[i] = kNhwc;
  }
  return choice;
}

std::function<NodeChoice(const CudaChooseContext&)> nhwc_kernel(std::string name) {
  return [name = std::move(name)](const CudaChooseContext& context) { return choose_nhwc(context, name); };
}

std::function<NodeChoice(const CudaChooseContext&)> kernel_that_follows(std::size_t index, std::string name) {
  return [index, name = std::move(name)](const CudaChooseContext& context) {
    const Value& followed = context.input(index);
    const Layout& now = context.inputs[index];
    if (followed.shape.rank() == 4 && is_padded(now)) return choose_nhwc(context, name);
    return choose_like_input(context, index, own_implementation(name));
  };
}

Rows rows_of(const Value& value) {
  const Shape& shape = value.shape;
  ATHANOR_CHECK(shape.rank() == 4 || shape.rank() == 2, "value {} has shape {}", value.name, shape.text());
  return {.samples = shape[0], .pixels = shape.rank() == 4 ? shape[2] * shape[3] : 1, .channels = shape[1]};
}

}  // namespace athanor::cuda
