// Elementwise activations and their backward ops. relu, sigmoid and tanh go back from y, the others from x.
#include <numbers>

#include "reference/families.h"

namespace athanor::reference {
namespace {

using Function = Number (*)(double x, const Attributes& attributes);

constexpr double kGeluTanhScale = 0.7978845608028654;  // sqrt(2 / pi), Hendrycks and Gimpel 2016
constexpr double kGeluTanhCubic = 0.044715;

bool is_tanh_gelu(const Attributes& attributes) {
  return attribute_or<std::string>(attributes, "approximate", "none") == "tanh";
}
double slope_of(const Attributes& attributes) {
  return attribute_or<double>(attributes, "slope", 0.01);
}
Number logistic(Number x) {
  return 1.0 / (1.0 + exp(-x));
}

Number relu_value(double x, const Attributes&) {
  return relu(x);
}
Number relu_slope(double y, const Attributes&) {
  return y > 0 ? 1.0 : 0.0;
}

Number leaky_relu_value(double x, const Attributes& attributes) {
  return x > 0 ? x : x * slope_of(attributes);
}
Number leaky_relu_slope(double x, const Attributes& attributes) {
  return x > 0 ? 1.0 : slope_of(attributes);
}

Number sigmoid_value(double x, const Attributes&) {
  return logistic(x);
}
Number sigmoid_slope_from_y(double y, const Attributes&) {
  return y * (Number(1.0) - y);
}
Number sigmoid_slope(double x, const Attributes&) {
  return logistic(x) * (1.0 - logistic(x));
}

Number tanh_value(double x, const Attributes&) {
  return tanh(Number(x));
}
Number tanh_slope_from_y(double y, const Attributes&) {
  return Number(1.0) - Number(y) * y;
}
Number tanh_slope(double x, const Attributes&) {
  return 1.0 - tanh(Number(x)) * tanh(Number(x));
}

Number gelu_value(double x, const Attributes& attributes) {
  if (is_tanh_gelu(attributes)) {
    const Number inner = kGeluTanhScale * (Number(x) + kGeluTanhCubic * x * x * x);
    return 0.5 * x * (1.0 + tanh(inner));
  }
  return 0.5 * x * (1.0 + erf(Number(x) * (1.0 / std::numbers::sqrt2)));
}

Number gelu_slope(double x, const Attributes& attributes) {
  if (is_tanh_gelu(attributes)) {
    const Number t = tanh(kGeluTanhScale * (Number(x) + kGeluTanhCubic * x * x * x));
    const Number inner_slope = kGeluTanhScale * (Number(1.0) + 3.0 * kGeluTanhCubic * x * x);
    return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner_slope;
  }
  const Number density = exp(Number(-0.5 * x * x)) * (1.0 / std::sqrt(2.0 * std::numbers::pi));
  return 0.5 * (1.0 + erf(Number(x) * (1.0 / std::numbers::sqrt2))) + x * density;
}

Number silu_value(double x, const Attributes&) {
  return x * logistic(x);
}
Number silu_slope(double x, const Attributes&) {
  const Number s = logistic(x);
  return s * (1.0 + x * (1.0 - s));
}

Case activation_case(RandomStream& stream, const std::string& name) {
  Extents shape = pick_image_shape(stream);
  if (stream.below(3) == 0) shape = {between(stream, 1, 5), pick(stream, {1, 10, 64, 129})};
  Tensor x = tensor_away_from_zero(shape, stream);
  for (double& value : x.values) value *= 4.0;
  Attributes attributes;
  if (name == "leaky_relu") attributes.set("slope", coin(stream) ? 0.01 : 0.25);
  if (name == "gelu") attributes.set("approximate", std::string(coin(stream) ? "tanh" : "none"));
  return {attributes, {x}};
}

/// The op and its backward op. `slope` is the derivative from x, `saved_slope` from what the backward op is given.
std::vector<ReferenceOp> activation(const std::string& name, Function value, Function slope, Function saved_slope,
                                    bool saves_output) {
  ReferenceOp op{name, nullptr, nullptr, nullptr};
  op.forward = [=](const std::vector<Tensor>& inputs, const Attributes& attributes) -> std::vector<Result> {
    Numbers y(inputs[0].shape);
    for (std::int64_t e = 0; e < y.elements(); ++e) y[e] = value(inputs[0][e], attributes);
    return {result_of(y)};
  };
  op.backward = [=](const std::vector<Tensor>& inputs, const Tensor& dy, const Attributes& attributes) -> Gradients {
    Numbers dx(dy.shape);
    for (std::int64_t e = 0; e < dx.elements(); ++e) dx[e] = dy[e] * slope(inputs[0][e], attributes);
    return {result_of(dx)};
  };
  op.random_case = [=](RandomStream& stream) { return activation_case(stream, name); };

  ReferenceOp backward_op{name + "_backward", nullptr, nullptr, nullptr};
  backward_op.forward = [=](const std::vector<Tensor>& inputs, const Attributes& attributes) -> std::vector<Result> {
    Numbers dx(inputs[0].shape);
    for (std::int64_t e = 0; e < dx.elements(); ++e) dx[e] = inputs[0][e] * saved_slope(inputs[1][e], attributes);
    return {result_of(dx)};
  };
  backward_op.random_case = [=](RandomStream& stream) -> Case {
    Case drawn = activation_case(stream, name);
    Tensor saved = drawn.inputs[0];
    if (saves_output) saved = rounded_to_float(op.forward(drawn.inputs, drawn.attributes)[0].value);
    Tensor dy = uniform_tensor(saved.shape, stream);
    return {drawn.attributes, {std::move(dy), std::move(saved)}};
  };
  return {op, backward_op};
}

}  // namespace

std::vector<ReferenceOp> activation_ops() {
  std::vector<ReferenceOp> all;
  for (const auto& pair : {activation("relu", relu_value, relu_slope, relu_slope, true),
                           activation("leaky_relu", leaky_relu_value, leaky_relu_slope, leaky_relu_slope, false),
                           activation("sigmoid", sigmoid_value, sigmoid_slope, sigmoid_slope_from_y, true),
                           activation("tanh", tanh_value, tanh_slope, tanh_slope_from_y, true),
                           activation("gelu", gelu_value, gelu_slope, gelu_slope, false),
                           activation("silu", silu_value, silu_slope, silu_slope, false)}) {
    all.insert(all.end(), pair.begin(), pair.end());
  }
  return all;
}

}  // namespace athanor::reference
