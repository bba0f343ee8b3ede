// prepare_input on the CPU: raw pixels to the network's plain input in one pass.
#include "kernels/prepare_input.h"

#include <memory>
#include <vector>

#include "backend/cpu/ops/support.h"

namespace athanor::cpu {
namespace {

struct Prepared {
  std::vector<float> mean;
  std::vector<float> std;
  kernels::PrepareInput args;
};

std::vector<float> floats_of(const Binding& b, std::string_view name) {
  const auto& values = b.node.attributes.get<std::vector<double>>(name);
  return {values.begin(), values.end()};
}

Step prepare_input(const Binding& b) {
  const Shape& images = b.input_value(0).shape;
  const auto prepared = std::make_shared<Prepared>(Prepared{floats_of(b, "mean"), floats_of(b, "std"), {}});
  prepared->args = {.view = output_view(b, 0),
                    .dtype = b.output_value(0).dtype,
                    .channels = images[1],
                    .height = images[2],
                    .width = images[3],
                    .images = b.input<std::uint8_t>(0),
                    .transforms = b.input<kernels::SampleTransform>(1),
                    .mean = prepared->mean.data(),
                    .std = prepared->std.data(),
                    .y = b.outputs[0],
                    .threads = b.threads};
  return [prepared, run = kernels::prepare_input_kernels().prepare_input] { run(prepared->args); };
}

const RegisterCpuOp kPrepareInput{"prepare_input", {plain_kernel("prepare_input"), prepare_input}};

}  // namespace
}  // namespace athanor::cpu
