// conv2d and its two backward ops. All three are the same list of products x * weight, summed into y, dx or dweight.
#include "reference/families.h"

namespace athanor::reference {
namespace {

struct Geometry {
  Extents x, weight, y;  // [N, C, H, W], [O, C/g, KH, KW], [N, O, OH, OW]
  Extents stride, padding, dilation;
  std::int64_t groups = 1;
};

Geometry geometry_of(const Extents& x, const Extents& weight, const Attributes& attributes) {
  Geometry g;
  g.x = x;
  g.weight = weight;
  g.stride = attribute_or<Extents>(attributes, "stride", {1, 1});
  g.padding = attribute_or<Extents>(attributes, "padding", {0, 0});
  g.dilation = attribute_or<Extents>(attributes, "dilation", {1, 1});
  g.groups = attribute_or<std::int64_t>(attributes, "groups", 1);
  g.y = {x[0], weight[0], 0, 0};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t reach = g.dilation[axis] * (weight[2 + axis] - 1) + 1;
    g.y[2 + axis] = (x[2 + axis] + 2 * g.padding[axis] - reach) / g.stride[axis] + 1;
  }
  return g;
}

/// Where one product stands: y(n, o, oh, ow) takes x(n, c, ih, iw) * weight(o, i, kh, kw).
struct Tap {
  std::int64_t n, o, oh, ow, c, ih, iw, i, kh, kw;
};

/// Visits every product but those with padding.
template <typename Visit>
void for_each_tap(const Geometry& g, Visit visit) {
  const std::int64_t outputs_per_group = g.weight[0] / g.groups;
  Tap t{};
  for (t.n = 0; t.n < g.y[0]; ++t.n)
    for (t.o = 0; t.o < g.y[1]; ++t.o)
      for (t.oh = 0; t.oh < g.y[2]; ++t.oh)
        for (t.ow = 0; t.ow < g.y[3]; ++t.ow)
          for (t.i = 0; t.i < g.weight[1]; ++t.i)
            for (t.kh = 0; t.kh < g.weight[2]; ++t.kh)
              for (t.kw = 0; t.kw < g.weight[3]; ++t.kw) {
                t.c = t.o / outputs_per_group * g.weight[1] + t.i;
                t.ih = t.oh * g.stride[0] - g.padding[0] + t.kh * g.dilation[0];
                t.iw = t.ow * g.stride[1] - g.padding[1] + t.kw * g.dilation[1];
                if (t.ih >= 0 && t.ih < g.x[2] && t.iw >= 0 && t.iw < g.x[3]) visit(t);
              }
}

Numbers convolve(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const Tensor &x = inputs[0], &weight = inputs[1];
  const Geometry g = geometry_of(x.shape, weight.shape, attributes);
  Sums sums(g.y);
  for_each_tap(g, [&](const Tap& t) {
    sums.at(t.n, t.o, t.oh, t.ow).add(Number(x.at(t.n, t.c, t.ih, t.iw)) * weight.at(t.o, t.i, t.kh, t.kw));
  });
  const std::int64_t pixels = g.y[2] * g.y[3];
  Numbers y(g.y);
  for (std::int64_t e = 0; e < y.elements(); ++e) {
    if (inputs.size() > 2) sums[e].add(inputs[2][e / pixels % g.y[1]]);
    y[e] = sums[e].total();
  }
  return y;
}

Sums convolution_backward_data(const Geometry& g, const Tensor& dy, const Tensor& weight) {
  Sums dx(g.x);
  for_each_tap(g, [&](const Tap& t) {
    dx.at(t.n, t.c, t.ih, t.iw).add(Number(dy.at(t.n, t.o, t.oh, t.ow)) * weight.at(t.o, t.i, t.kh, t.kw));
  });
  return dx;
}

Sums convolution_backward_weights(const Geometry& g, const Tensor& x, const Tensor& dy) {
  Sums dweight(g.weight);
  for_each_tap(g, [&](const Tap& t) {
    dweight.at(t.o, t.i, t.kh, t.kw).add(Number(x.at(t.n, t.c, t.ih, t.iw)) * dy.at(t.n, t.o, t.oh, t.ow));
  });
  return dweight;
}

Sums convolution_backward_bias(const Tensor& dy) {
  Sums dbias({dy.shape[1]});
  const std::int64_t pixels = dy.shape[2] * dy.shape[3];
  for (std::int64_t e = 0; e < dy.elements(); ++e) dbias[e / pixels % dy.shape[1]].add(dy[e]);
  return dbias;
}

std::vector<Result> convolution_forward(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  Numbers y = convolve(inputs, attributes);
  if (has_relu(attributes)) {
    for (Number& value : y.values) value = relu(value);
  }
  return {result_of(y)};
}

Gradients convolution_backward(const std::vector<Tensor>& inputs, const Tensor& output_gradient,
                               const Attributes& attributes) {
  const Geometry g = geometry_of(inputs[0].shape, inputs[1].shape, attributes);
  Tensor dy = output_gradient;
  if (has_relu(attributes)) {
    const Numbers z = convolve(inputs, attributes);
    for (std::int64_t e = 0; e < dy.elements(); ++e) dy[e] = z[e].value > 0 ? dy[e] : 0.0;
  }
  Gradients gradients = {result_of(convolution_backward_data(g, dy, inputs[1])),
                         result_of(convolution_backward_weights(g, inputs[0], dy))};
  if (inputs.size() > 2) gradients.emplace_back(result_of(convolution_backward_bias(dy)));
  return gradients;
}

std::vector<Result> convolution_forward_backward_data(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const Tensor &dy = inputs[0], &weight = inputs[1];
  const Extents& size = attributes.integers("input_size");
  const std::int64_t channels = weight.shape[1] * attribute_or<std::int64_t>(attributes, "groups", 1);
  const Geometry g = geometry_of({dy.shape[0], channels, size[0], size[1]}, weight.shape, attributes);
  return {result_of(convolution_backward_data(g, dy, weight))};
}

std::vector<Result> convolution_forward_backward_weights(const std::vector<Tensor>& inputs,
                                                         const Attributes& attributes) {
  const Tensor &x = inputs[0], &dy = inputs[1];
  const Extents& kernel = attributes.integers("kernel");
  const std::int64_t groups = attribute_or<std::int64_t>(attributes, "groups", 1);
  const Geometry g = geometry_of(x.shape, {dy.shape[1], x.shape[1] / groups, kernel[0], kernel[1]}, attributes);
  std::vector<Result> outputs = {result_of(convolution_backward_weights(g, x, dy))};
  if (attribute_or<bool>(attributes, "bias", false)) outputs.push_back(result_of(convolution_backward_bias(dy)));
  return outputs;
}

/// Channels and groups: dense, grouped or depthwise.
void pick_channels_and_groups(RandomStream& stream, std::int64_t& in, std::int64_t& out, std::int64_t& groups) {
  in = pick_channels(stream);
  out = pick_channels(stream);
  groups = 1;
  switch (stream.below(4)) {
    case 0:
      groups = pick(stream, {2, 3, 4});
      in = groups * pick(stream, {1, 3, 8});
      out = groups * pick(stream, {1, 2, 8});
      break;
    case 1:
      groups = in;
      out = in * between(stream, 1, 2);
      break;
    default:
      break;
  }
}

Case draw_convolution_case(RandomStream& stream) {
  std::int64_t in = 0, out = 0, groups = 0;
  pick_channels_and_groups(stream, in, out, groups);
  Extents kernel, stride, padding, dilation, size;
  const bool is_wide = in / groups * out > 1024;  // keeps a case under a few hundred thousand products
  for (int axis = 0; axis < 2; ++axis) {
    kernel.push_back(pick(stream, {1, 1, 2, 3, 3, 5}));
    stride.push_back(pick(stream, {1, 1, 2, 3}));
    dilation.push_back(kernel.back() > 1 ? pick(stream, {1, 1, 1, 2}) : 1);
    padding.push_back(between(stream, 0, kernel.back() / 2));
    const std::int64_t smallest =
        std::max<std::int64_t>(1, dilation.back() * (kernel.back() - 1) + 1 - 2 * padding.back());
    size.push_back(smallest + between(stream, 0, is_wide ? 2 : 7));
  }
  Case drawn;
  drawn.attributes = {{"stride", stride}, {"padding", padding}, {"dilation", dilation}, {"groups", groups}};
  drawn.inputs = {uniform_tensor({is_wide ? 1 : between(stream, 1, 3), in, size[0], size[1]}, stream),
                  uniform_tensor({out, in / groups, kernel[0], kernel[1]}, stream)};
  if (coin(stream)) drawn.inputs.push_back(uniform_tensor({out}, stream));
  drawn.attributes.set("activation", std::string(stream.below(4) == 0 ? "relu" : "none"));
  return drawn;
}

Case conv_case(RandomStream& stream) {
  return draw_away_from_kinks(stream, draw_convolution_case,
                              [](const Case& c) { return convolve(c.inputs, c.attributes); });
}

Case convolution_backward_data_case(RandomStream& stream) {
  Case drawn = draw_convolution_case(stream);
  const Geometry g = geometry_of(drawn.inputs[0].shape, drawn.inputs[1].shape, drawn.attributes);
  drawn.attributes.set("activation", std::string("none"));
  drawn.attributes.set("input_size", Extents{g.x[2], g.x[3]});
  drawn.inputs = {uniform_tensor(g.y, stream), drawn.inputs[1]};
  return drawn;
}

Case convolution_backward_weights_case(RandomStream& stream) {
  Case drawn = draw_convolution_case(stream);
  const Geometry g = geometry_of(drawn.inputs[0].shape, drawn.inputs[1].shape, drawn.attributes);
  drawn.attributes.set("activation", std::string("none"));
  drawn.attributes.set("kernel", Extents{g.weight[2], g.weight[3]});
  drawn.attributes.set("bias", drawn.inputs.size() > 2);
  drawn.inputs = {drawn.inputs[0], uniform_tensor(g.y, stream)};
  return drawn;
}

}  // namespace

std::vector<ReferenceOp> convolution_ops() {
  return {
      {"conv2d", convolution_forward, convolution_backward, conv_case},
      {"conv2d_backward_data", convolution_forward_backward_data, nullptr, convolution_backward_data_case},
      {"conv2d_backward_weights", convolution_forward_backward_weights, nullptr, convolution_backward_weights_case}};
}

}  // namespace athanor::reference
