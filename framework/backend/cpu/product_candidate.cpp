#include "backend/cpu/product_candidate.h"

#include <utility>
#include <vector>

#include "backend/cpu/onednn.h"

namespace athanor::cpu {
namespace {

/// Places of a primitive's arguments.
struct Indices {
  int x, weight, bias, y;
};

Indices indices_of(Direction direction) {
  switch (direction) {
    case Direction::forward:
      return {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST};
    case Direction::backward_data:
      return {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DIFF_DST};
    case Direction::backward_weights:
      break;
  }
  return {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_BIAS, DNNL_ARG_DIFF_DST};
}

Step bind_made(Direction direction, const ProductPrimitive& made, const ProductMemory& memory) {
  const Indices at = indices_of(direction);
  std::vector<Argument> arguments{{at.x, made.x, memory.x},
                                  {at.weight, made.weight, memory.weight},
                                  {at.y, made.y, memory.y},
                                  {DNNL_ARG_SCRATCHPAD, made.scratch, memory.scratch}};
  if (memory.bias != nullptr) arguments.push_back({at.bias, made.bias, memory.bias});
  return bind_primitive(made.primitive, arguments);
}

std::size_t aligned(std::size_t bytes) {
  constexpr std::size_t kLine = 64;
  return (bytes + kLine - 1) / kLine * kLine;
}

}  // namespace

ProductCandidate candidate_of(Direction direction, const ProductPrimitive& made) {
  const bool has_bias = direction != Direction::backward_data && made.bias.get_size() > 0;
  ProductCandidate candidate{.direction = direction, .algorithm = "", .implementation = made.implementation};
  candidate.x_bytes = made.x.get_size();
  candidate.weight_bytes = made.weight.get_size();
  candidate.bias_bytes = has_bias ? made.bias.get_size() : 0;
  candidate.y_bytes = made.y.get_size();
  candidate.scratch_bytes = made.scratch.get_size();
  candidate.bind = [direction, made](const ProductMemory& memory) { return bind_made(direction, made, memory); };
  return candidate;
}

std::size_t input_bytes(const ProductCandidate& c) {
  switch (c.direction) {
    case Direction::forward:
      return aligned(c.x_bytes) + aligned(c.weight_bytes) + aligned(c.bias_bytes);
    case Direction::backward_data:
      return aligned(c.y_bytes) + aligned(c.weight_bytes);
    case Direction::backward_weights:
      break;
  }
  return aligned(c.x_bytes) + aligned(c.y_bytes);
}

std::size_t output_bytes(const ProductCandidate& c) {
  switch (c.direction) {
    case Direction::forward:
      return aligned(c.y_bytes);
    case Direction::backward_data:
      return aligned(c.x_bytes);
    case Direction::backward_weights:
      break;
  }
  return aligned(c.weight_bytes) + aligned(c.bias_bytes);
}

Step bind_to_blocks(const ProductCandidate& c, std::byte* inputs, std::byte* outputs, std::byte* scratch) {
  const bool writes_x = c.direction == Direction::backward_data, writes_y = c.direction == Direction::forward;
  const bool writes_weight = c.direction == Direction::backward_weights;
  const auto take = [&](bool is_output, std::size_t bytes) -> void* {
    if (bytes == 0) return nullptr;
    std::byte*& block = is_output ? outputs : inputs;
    return std::exchange(block, block + aligned(bytes));
  };
  ProductMemory memory{.scratch = scratch};
  memory.x = take(writes_x, c.x_bytes);
  memory.weight = take(writes_weight, c.weight_bytes);
  memory.bias = take(writes_weight, c.bias_bytes);
  memory.y = take(writes_y, c.y_bytes);
  return c.bind(memory);
}

}  // namespace athanor::cpu
