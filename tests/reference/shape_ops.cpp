// Ops that only move elements: concat, flatten, pad, shortcut_a. Each is one list of (from, to) pairs of flat
// positions, read forward for y and backward for dx.
#include "reference/families.h"

namespace athanor::reference {
namespace {

/// y element `to` takes element `from` of input `input`; elements that nobody writes are 0.
struct Move {
  std::size_t input;
  std::int64_t from, to;
};
struct Moves {
  Extents y;
  std::vector<Move> list;
};
using Plan = Moves (*)(const std::vector<Tensor>& inputs, const Attributes& attributes);

/// One input's [N, C, H, W] elements that land in y at the offsets and steps given.
void add_block(Moves& moves, std::size_t input, const Extents& x, std::int64_t first_channel, std::int64_t top,
               std::int64_t left, std::int64_t step) {
  const Extents& y = moves.y;
  for (std::int64_t n = 0; n < x[0]; ++n)
    for (std::int64_t c = 0; c < x[1]; ++c)
      for (std::int64_t h = 0; h < x[2]; h += step)
        for (std::int64_t w = 0; w < x[3]; w += step) {
          const std::int64_t from = ((n * x[1] + c) * x[2] + h) * x[3] + w;
          const std::int64_t to = ((n * y[1] + first_channel + c) * y[2] + top + h / step) * y[3] + left + w / step;
          moves.list.push_back({input, from, to});
        }
}

Extents as_image(Extents shape) {
  shape.resize(4, 1);
  return shape;
}

/// Along axis 1, for images and for rows of features.
Moves concat(const std::vector<Tensor>& inputs, const Attributes&) {
  Moves moves{as_image(inputs[0].shape), {}};
  moves.y[1] = 0;
  for (const Tensor& x : inputs) moves.y[1] += x.shape[1];
  std::int64_t first_channel = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    add_block(moves, i, as_image(inputs[i].shape), first_channel, 0, 0, 1);
    first_channel += inputs[i].shape[1];
  }
  moves.y.resize(inputs[0].shape.size());
  return moves;
}

Moves flatten(const std::vector<Tensor>& inputs, const Attributes&) {
  const Tensor& x = inputs[0];
  Moves moves{{x.shape[0], x.elements() / x.shape[0]}, {}};
  for (std::int64_t e = 0; e < x.elements(); ++e) moves.list.push_back({0, e, e});
  return moves;
}

Moves pad(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const Extents& x = inputs[0].shape;
  const Extents& pads = attributes.integers("pads");  // top, bottom, left, right
  Moves moves{{x[0], x[1], x[2] + pads[0] + pads[1], x[3] + pads[2] + pads[3]}, {}};
  add_block(moves, 0, x, 0, pads[0], pads[2], 1);
  return moves;
}

/// He et al. 2015, option A: every stride-th pixel, new channels zero.
Moves shortcut_a(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const Extents& x = inputs[0].shape;
  const std::int64_t stride = attributes.integer("stride"), channels = attributes.integer("channels");
  Moves moves{{x[0], channels, (x[2] + stride - 1) / stride, (x[3] + stride - 1) / stride}, {}};
  add_block(moves, 0, x, (channels - x[1]) / 2, 0, 0, stride);
  return moves;
}

ReferenceOp moving_op(const std::string& name, Plan plan, Case (*random_case)(RandomStream&)) {
  ReferenceOp op{name, nullptr, nullptr, random_case};
  op.forward = [=](const std::vector<Tensor>& inputs, const Attributes& attributes) -> std::vector<Result> {
    const Moves moves = plan(inputs, attributes);
    Tensor y(moves.y);
    for (const Move& move : moves.list) y[move.to] = inputs[move.input][move.from];
    return {exact_result(y)};
  };
  op.backward = [=](const std::vector<Tensor>& inputs, const Tensor& dy, const Attributes& attributes) -> Gradients {
    std::vector<Tensor> dx;
    for (const Tensor& x : inputs) dx.emplace_back(x.shape);
    for (const Move& move : plan(inputs, attributes).list) dx[move.input][move.from] = dy[move.to];
    Gradients gradients;
    for (Tensor& gradient : dx) gradients.emplace_back(exact_result(std::move(gradient)));
    return gradients;
  };
  return op;
}

Case concat_case(RandomStream& stream) {
  Case drawn;
  Extents shape = pick_image_shape(stream);
  if (stream.below(4) == 0) shape.resize(2);
  const std::int64_t count = between(stream, 2, 4);
  for (std::int64_t i = 0; i < count; ++i) {
    shape[1] = pick_channels(stream);
    drawn.inputs.push_back(uniform_tensor(shape, stream));
  }
  return drawn;
}

Case flatten_case(RandomStream& stream) {
  return {{}, {uniform_tensor(pick_image_shape(stream), stream)}};
}

Case pad_case(RandomStream& stream) {
  Extents pads;
  for (int side = 0; side < 4; ++side) pads.push_back(between(stream, 0, 3));
  return {{{"pads", pads}}, {uniform_tensor(pick_image_shape(stream), stream)}};
}

Case shortcut_case(RandomStream& stream) {
  const Extents shape = pick_image_shape(stream);
  const std::int64_t channels = shape[1] + pick(stream, {0, 1, 2, 3, 16, shape[1]});
  return {{{"stride", between(stream, 1, 3)}, {"channels", channels}}, {uniform_tensor(shape, stream)}};
}

}  // namespace

std::vector<ReferenceOp> shape_ops() {
  return {moving_op("concat", concat, concat_case), moving_op("flatten", flatten, flatten_case),
          moving_op("pad", pad, pad_case), moving_op("shortcut_a", shortcut_a, shortcut_case)};
}

}  // namespace athanor::reference
