// add, channel-wise scale (squeeze-and-excitation) and softmax.
#include <algorithm>

#include "reference/families.h"
#include "reference/softmax.h"

namespace athanor::reference {
namespace {

Numbers sum_of(const std::vector<Tensor>& inputs) {
  Numbers y(inputs[0].shape);
  for (std::int64_t e = 0; e < y.elements(); ++e) y[e] = Number(inputs[0][e]) + inputs[1][e];
  return y;
}

std::vector<Result> add_forward(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  Numbers y = sum_of(inputs);
  if (has_relu(attributes)) {
    for (Number& value : y.values) value = relu(value);
  }
  return {result_of(y)};
}

Gradients add_backward(const std::vector<Tensor>& inputs, const Tensor& dy, const Attributes& attributes) {
  Tensor g = dy;
  if (has_relu(attributes)) {
    const Numbers z = sum_of(inputs);
    for (std::int64_t e = 0; e < g.elements(); ++e) g[e] = z[e].value > 0 ? g[e] : 0.0;
  }
  return {exact_result(g), exact_result(g)};
}

/// y[n, c, h, w] = x[n, c, h, w] * s[n, c].
std::vector<Result> scale_forward(const std::vector<Tensor>& inputs, const Attributes&) {
  const Tensor &x = inputs[0], &s = inputs[1];
  const std::int64_t pixels = x.shape[2] * x.shape[3];
  Numbers y(x.shape);
  for (std::int64_t e = 0; e < y.elements(); ++e) y[e] = Number(x[e]) * s[e / pixels];
  return {result_of(y)};
}

Gradients scale_backward(const std::vector<Tensor>& inputs, const Tensor& dy, const Attributes&) {
  const Tensor &x = inputs[0], &s = inputs[1];
  const std::int64_t pixels = x.shape[2] * x.shape[3];
  Numbers dx(x.shape);
  Sums ds(s.shape);
  for (std::int64_t e = 0; e < dx.elements(); ++e) {
    dx[e] = Number(dy[e]) * s[e / pixels];
    ds[e / pixels].add(Number(dy[e]) * x[e]);
  }
  return {result_of(dx), result_of(ds)};
}

/// dy, x, (y, (dy2)) -> ds[n, c] = sum of dz * x, (dz): dz is dy + dy2 where y > 0.
std::vector<Result> scale_sums(const std::vector<Tensor>& inputs, const Attributes&) {
  const Tensor &dy = inputs[0], &x = inputs[1];
  const std::int64_t pixels = x.shape[2] * x.shape[3];
  Numbers dz(x.shape);
  Sums ds({x.shape[0], x.shape[1]});
  for (std::int64_t e = 0; e < dz.elements(); ++e) {
    dz[e] = dy[e];
    if (inputs.size() > 3) dz[e] = dz[e] + inputs[3][e];
    if (inputs.size() > 2 && inputs[2][e] <= 0) dz[e] = 0.0;
    ds[e / pixels].add(dz[e] * x[e]);
  }
  std::vector<Result> results{result_of(ds)};
  if (inputs.size() > 2) results.push_back(result_of(dz));
  return results;
}

Case scale_sums_case(RandomStream& stream) {
  const Extents shape = pick_image_shape(stream);
  Case drawn{{}, {uniform_tensor(shape, stream), uniform_tensor(shape, stream)}};
  for (std::int64_t more = between(stream, 0, 2); more > 0; --more) {
    drawn.inputs.push_back(uniform_tensor(shape, stream));
  }
  drawn.attributes.set("activation", std::string(drawn.inputs.size() > 2 ? "relu" : "none"));
  return drawn;
}

std::vector<Result> softmax_forward(const std::vector<Tensor>& inputs, const Attributes&) {
  const Tensor& x = inputs[0];
  Numbers y(x.shape);
  for (std::int64_t n = 0; n < x.shape[0]; ++n) {
    const std::vector<Number> row = softmax_row(x, n);
    std::copy(row.begin(), row.end(), y.values.begin() + n * x.shape[1]);
  }
  return {result_of(y)};
}

/// dx = y * (dy - sum(dy * y)).
Gradients softmax_backward(const std::vector<Tensor>& inputs, const Tensor& dy, const Attributes&) {
  const Tensor& x = inputs[0];
  Numbers dx(x.shape);
  for (std::int64_t n = 0; n < x.shape[0]; ++n) {
    const std::vector<Number> y = softmax_row(x, n);
    Sum dot;
    for (std::int64_t f = 0; f < x.shape[1]; ++f) dot.add(dy.at(n, f) * y[static_cast<std::size_t>(f)]);
    for (std::int64_t f = 0; f < x.shape[1]; ++f) {
      dx.at(n, f) = y[static_cast<std::size_t>(f)] * (dy.at(n, f) - dot.total());
    }
  }
  return {result_of(dx)};
}

Case add_case(RandomStream& stream) {
  const Extents shape = pick_image_shape(stream);
  return {{}, {uniform_tensor(shape, stream), uniform_tensor(shape, stream)}};
}

Case scale_case(RandomStream& stream) {
  const Extents shape = pick_image_shape(stream);
  return {{}, {uniform_tensor(shape, stream), uniform_tensor({shape[0], shape[1]}, stream, 0.0f, 1.0f)}};
}

Case softmax_case(RandomStream& stream) {
  return {{}, {uniform_tensor({between(stream, 1, 5), pick(stream, {1, 2, 10, 17, 100})}, stream, -4.0f, 4.0f)}};
}

}  // namespace

std::vector<ReferenceOp> arithmetic_ops() {
  return {{"add", add_forward, add_backward, add_case},
          {"scale", scale_forward, scale_backward, scale_case},
          {"scale_sums", scale_sums, nullptr, scale_sums_case},
          {"softmax", softmax_forward, softmax_backward, softmax_case}};
}

}  // namespace athanor::reference
