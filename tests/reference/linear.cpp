// linear: y = x * weight^T + bias, and its two backward ops.
#include "reference/families.h"

namespace athanor::reference {
namespace {

Numbers multiply_linear(const std::vector<Tensor>& inputs) {
  const Tensor &x = inputs[0], &weight = inputs[1];
  Numbers y({x.shape[0], weight.shape[0]});
  for (std::int64_t n = 0; n < x.shape[0]; ++n) {
    for (std::int64_t o = 0; o < weight.shape[0]; ++o) {
      Sum sum;
      for (std::int64_t f = 0; f < x.shape[1]; ++f) sum.add(Number(x.at(n, f)) * weight.at(o, f));
      if (inputs.size() > 2) sum.add(inputs[2][o]);
      y.at(n, o) = sum.total();
    }
  }
  return y;
}

/// dx[n, f] = sum over o of dy[n, o] * weight[o, f].
Result linear_backward_data(const Tensor& dy, const Tensor& weight) {
  Sums dx({dy.shape[0], weight.shape[1]});
  for (std::int64_t n = 0; n < dy.shape[0]; ++n)
    for (std::int64_t o = 0; o < weight.shape[0]; ++o)
      for (std::int64_t f = 0; f < weight.shape[1]; ++f) dx.at(n, f).add(Number(dy.at(n, o)) * weight.at(o, f));
  return result_of(dx);
}

/// dweight[o, f] = sum over n of dy[n, o] * x[n, f].
Result linear_backward_weights(const Tensor& x, const Tensor& dy) {
  Sums dweight({dy.shape[1], x.shape[1]});
  for (std::int64_t n = 0; n < dy.shape[0]; ++n)
    for (std::int64_t o = 0; o < dy.shape[1]; ++o)
      for (std::int64_t f = 0; f < x.shape[1]; ++f) dweight.at(o, f).add(Number(dy.at(n, o)) * x.at(n, f));
  return result_of(dweight);
}

Result linear_backward_bias(const Tensor& dy) {
  Sums dbias({dy.shape[1]});
  for (std::int64_t n = 0; n < dy.shape[0]; ++n)
    for (std::int64_t o = 0; o < dy.shape[1]; ++o) dbias[o].add(dy.at(n, o));
  return result_of(dbias);
}

std::vector<Result> linear_forward(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  Numbers y = multiply_linear(inputs);
  if (has_relu(attributes)) {
    for (Number& value : y.values) value = relu(value);
  }
  return {result_of(y)};
}

Gradients linear_backward(const std::vector<Tensor>& inputs, const Tensor& output_gradient,
                          const Attributes& attributes) {
  Tensor dy = output_gradient;
  if (has_relu(attributes)) {
    const Numbers z = multiply_linear(inputs);
    for (std::int64_t e = 0; e < dy.elements(); ++e) dy[e] = z[e].value > 0 ? dy[e] : 0.0;
  }
  Gradients gradients = {linear_backward_data(dy, inputs[1]), linear_backward_weights(inputs[0], dy)};
  if (inputs.size() > 2) gradients.emplace_back(linear_backward_bias(dy));
  return gradients;
}

std::vector<Result> linear_forward_backward_data(const std::vector<Tensor>& inputs, const Attributes&) {
  return {linear_backward_data(inputs[0], inputs[1])};
}

std::vector<Result> linear_forward_backward_weights(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  std::vector<Result> outputs = {linear_backward_weights(inputs[0], inputs[1])};
  if (attribute_or<bool>(attributes, "bias", false)) outputs.push_back(linear_backward_bias(inputs[1]));
  return outputs;
}

Case draw_linear_case(RandomStream& stream) {
  const std::int64_t features = pick(stream, {1, 3, 16, 31, 64, 100, 257});
  const std::int64_t outputs = pick(stream, {1, 2, 10, 16, 33, 64});
  Case drawn;
  drawn.attributes = {{"activation", std::string(stream.below(3) == 0 ? "relu" : "none")}};
  drawn.inputs = {uniform_tensor({between(stream, 1, 5), features}, stream),
                  uniform_tensor({outputs, features}, stream)};
  if (coin(stream)) drawn.inputs.push_back(uniform_tensor({outputs}, stream));
  return drawn;
}

Case linear_case(RandomStream& stream) {
  return draw_away_from_kinks(stream, draw_linear_case, [](const Case& c) { return multiply_linear(c.inputs); });
}

Case linear_backward_data_case(RandomStream& stream) {
  const Case drawn = draw_linear_case(stream);
  const Extents dy = {drawn.inputs[0].shape[0], drawn.inputs[1].shape[0]};
  return {{}, {uniform_tensor(dy, stream), drawn.inputs[1]}};
}

Case linear_backward_weights_case(RandomStream& stream) {
  const Case drawn = draw_linear_case(stream);
  const Extents dy = {drawn.inputs[0].shape[0], drawn.inputs[1].shape[0]};
  return {{{"bias", drawn.inputs.size() > 2}}, {drawn.inputs[0], uniform_tensor(dy, stream)}};
}

}  // namespace

std::vector<ReferenceOp> linear_ops() {
  return {{"linear", linear_forward, linear_backward, linear_case},
          {"linear_backward_data", linear_forward_backward_data, nullptr, linear_backward_data_case},
          {"linear_backward_weights", linear_forward_backward_weights, nullptr, linear_backward_weights_case}};
}

}  // namespace athanor::reference
