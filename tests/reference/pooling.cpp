// max_pool2d, avg_pool2d and global_avg_pool.
#include <cmath>
#include <limits>

#include "reference/families.h"

namespace athanor::reference {
namespace {

struct Windows {
  Extents kernel, stride, padding;
  Extents y;  // [N, C, OH, OW]
};

Windows windows_of(const Extents& x, const Attributes& attributes) {
  Windows w;
  w.kernel = attributes.integers("kernel");
  w.stride = attribute_or<Extents>(attributes, "stride", w.kernel);
  w.padding = attribute_or<Extents>(attributes, "padding", {0, 0});
  w.y = x;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    w.y[2 + axis] = (x[2 + axis] + 2 * w.padding[axis] - w.kernel[axis]) / w.stride[axis] + 1;
  }
  return w;
}

/// Visits (flat output element, n, c, ih, iw) for every element of x under every window, in scan order.
template <typename Visit>
void for_each_element(const Extents& x, const Windows& w, Visit visit) {
  std::int64_t element = 0;
  for (std::int64_t n = 0; n < w.y[0]; ++n)
    for (std::int64_t c = 0; c < w.y[1]; ++c)
      for (std::int64_t oh = 0; oh < w.y[2]; ++oh)
        for (std::int64_t ow = 0; ow < w.y[3]; ++ow, ++element)
          for (std::int64_t kh = 0; kh < w.kernel[0]; ++kh)
            for (std::int64_t kw = 0; kw < w.kernel[1]; ++kw) {
              const std::int64_t ih = oh * w.stride[0] - w.padding[0] + kh;
              const std::int64_t iw = ow * w.stride[1] - w.padding[1] + kw;
              if (ih >= 0 && ih < x[2] && iw >= 0 && iw < x[3]) visit(element, n, c, ih, iw);
            }
}

/// Outputs: y, and the place ih * W + iw of each maximum in its own plane. The first of equals wins; NaN beats all.
std::vector<Result> max_forward(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const Tensor& x = inputs[0];
  const Windows w = windows_of(x.shape, attributes);
  Tensor y(w.y), indices(w.y);
  for (double& value : y.values) value = -std::numeric_limits<double>::infinity();
  for_each_element(x.shape, w, [&](std::int64_t e, std::int64_t n, std::int64_t c, std::int64_t ih, std::int64_t iw) {
    const double value = x.at(n, c, ih, iw);
    if (value > y[e] || std::isnan(value)) {
      y[e] = value;
      indices[e] = static_cast<double>(ih * x.shape[3] + iw);
    }
  });
  return {exact_result(y), exact_result(indices)};
}

Gradients max_backward(const std::vector<Tensor>& inputs, const Tensor& dy, const Attributes& attributes) {
  const Extents& shape = inputs[0].shape;
  const Tensor indices = max_forward(inputs, attributes)[1].value;
  Sums dx(shape);
  const std::int64_t windows = dy.shape[2] * dy.shape[3];
  for (std::int64_t e = 0; e < dy.elements(); ++e) {
    const std::int64_t plane = e / windows;
    dx[plane * shape[2] * shape[3] + static_cast<std::int64_t>(indices[e])].add(dy[e]);
  }
  return {result_of(dx)};
}

/// What each window divides by: the whole kernel when padding counts, else the elements under it.
Tensor divisors(const Extents& x, const Windows& w, const Attributes& attributes) {
  Tensor counts(w.y);
  if (attribute_or<bool>(attributes, "count_include_pad", true)) {
    for (double& count : counts.values) count = static_cast<double>(w.kernel[0] * w.kernel[1]);
    return counts;
  }
  for_each_element(x, w, [&](std::int64_t e, auto, auto, auto, auto) { counts[e] += 1; });
  return counts;
}

std::vector<Result> average_forward(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const Tensor& x = inputs[0];
  const Windows w = windows_of(x.shape, attributes);
  const Tensor counts = divisors(x.shape, w, attributes);
  Sums sums(w.y);
  for_each_element(x.shape, w, [&](std::int64_t e, auto n, auto c, auto ih, auto iw) {
    sums[e].add(x.at(n, c, ih, iw) / counts[e]);
  });
  return {result_of(sums)};
}

Gradients average_backward(const std::vector<Tensor>& inputs, const Tensor& dy, const Attributes& attributes) {
  const Extents& shape = inputs[0].shape;
  const Windows w = windows_of(shape, attributes);
  const Tensor counts = divisors(shape, w, attributes);
  Sums dx(shape);
  for_each_element(
      shape, w, [&](std::int64_t e, auto n, auto c, auto ih, auto iw) { dx.at(n, c, ih, iw).add(dy[e] / counts[e]); });
  return {result_of(dx)};
}

std::vector<Result> global_forward(const std::vector<Tensor>& inputs, const Attributes&) {
  const Tensor& x = inputs[0];
  const std::int64_t pixels = x.shape[2] * x.shape[3];
  Sums y({x.shape[0], x.shape[1]});
  for (std::int64_t e = 0; e < x.elements(); ++e) y[e / pixels].add(x[e] / static_cast<double>(pixels));
  return {result_of(y)};
}

Gradients global_backward(const std::vector<Tensor>& inputs, const Tensor& dy, const Attributes&) {
  const Extents& shape = inputs[0].shape;
  const std::int64_t pixels = shape[2] * shape[3];
  Numbers dx(shape);
  for (std::int64_t e = 0; e < dx.elements(); ++e) dx[e] = dy[e / pixels] / static_cast<double>(pixels);
  return {result_of(dx)};
}

Case window_case(RandomStream& stream, bool is_max) {
  Extents kernel, stride, padding;
  Extents shape = pick_image_shape(stream);
  for (std::size_t axis = 0; axis < 2; ++axis) {
    kernel.push_back(pick(stream, {1, 2, 2, 3, 3, 5}));
    stride.push_back(pick(stream, {1, 2, 2, 3}));
    padding.push_back(between(stream, 0, kernel.back() / 2));
    shape[2 + axis] = std::max(shape[2 + axis], kernel.back() - 2 * padding.back());
  }
  Attributes attributes = {{"kernel", kernel}, {"stride", stride}, {"padding", padding}};
  if (!is_max) attributes.set("count_include_pad", coin(stream));
  return {attributes, {is_max ? distinct_tensor(shape, stream) : uniform_tensor(shape, stream)}};
}

}  // namespace

std::vector<ReferenceOp> pooling_ops() {
  return {{"max_pool2d", max_forward, max_backward, [](RandomStream& stream) { return window_case(stream, true); }},
          {"avg_pool2d", average_forward, average_backward,
           [](RandomStream& stream) { return window_case(stream, false); }},
          {"global_avg_pool", global_forward, global_backward, [](RandomStream& stream) -> Case {
             return {{}, {uniform_tensor(pick_image_shape(stream), stream)}};
           }}};
}

}  // namespace athanor::reference
