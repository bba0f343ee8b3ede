// layer_norm and group_norm: statistics of one sample, over everything or over groups of channels.
#include "reference/families.h"
#include "reference/normalize.h"

namespace athanor::reference {
namespace {

/// Both ops see x as [N, sets, set size]; element e of a sample takes gamma[e / elements_per_gamma].
struct Layout {
  std::int64_t samples, sets, set_size, elements_per_gamma;
  double eps;
};

Layout layer_layout(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const Tensor& x = inputs[0];
  return {x.shape[0], 1, x.elements() / x.shape[0], 1, attribute_or<double>(attributes, "eps", 1e-5)};
}

Layout group_layout(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const Tensor& x = inputs[0];
  const std::int64_t groups = attributes.integer("groups");
  return {x.shape[0], groups, x.elements() / x.shape[0] / groups, x.shape[2] * x.shape[3],
          attribute_or<double>(attributes, "eps", 1e-5)};
}

Normalized normalize_set(const Tensor& x, std::int64_t first, const Layout& layout) {
  return normalize({x.values.begin() + first, x.values.begin() + first + layout.set_size}, layout.eps);
}

std::vector<Result> sample_norm_forward(const std::vector<Tensor>& inputs, const Layout& layout,
                                        const Extents& statistics_shape) {
  const Tensor &x = inputs[0], &gamma = inputs[1], &beta = inputs[2];
  Numbers y(x.shape), mean(statistics_shape), inv_std(statistics_shape);
  for (std::int64_t set = 0; set < layout.samples * layout.sets; ++set) {
    const Normalized normalized = normalize_set(x, set * layout.set_size, layout);
    mean[set] = normalized.mean;
    inv_std[set] = normalized.inv_std;
    for (std::int64_t i = 0; i < layout.set_size; ++i) {
      const std::int64_t j = (set % layout.sets * layout.set_size + i) / layout.elements_per_gamma;
      y[set * layout.set_size + i] = gamma[j] * normalized.x_hat[static_cast<std::size_t>(i)] + beta[j];
    }
  }
  return {result_of(y), result_of(mean), result_of(inv_std)};
}

Gradients sample_norm_backward(const std::vector<Tensor>& inputs, const Tensor& dy, const Layout& layout) {
  const Tensor &x = inputs[0], &gamma = inputs[1];
  Numbers dx(x.shape);
  Sums dgamma(gamma.shape), dbeta(gamma.shape);
  for (std::int64_t set = 0; set < layout.samples * layout.sets; ++set) {
    const Normalized normalized = normalize_set(x, set * layout.set_size, layout);
    std::vector<Number> scaled;
    for (std::int64_t i = 0; i < layout.set_size; ++i) {
      const std::int64_t j = (set % layout.sets * layout.set_size + i) / layout.elements_per_gamma;
      const Number g = dy[set * layout.set_size + i];
      scaled.push_back(g * gamma[j]);
      dgamma[j].add(g * normalized.x_hat[static_cast<std::size_t>(i)]);
      dbeta[j].add(g);
    }
    const std::vector<Number> set_dx = normalize_backward(scaled, normalized);
    for (std::int64_t i = 0; i < layout.set_size; ++i) {
      dx[set * layout.set_size + i] = set_dx[static_cast<std::size_t>(i)];
    }
  }
  return {result_of(dx), result_of(dgamma), result_of(dbeta)};
}

std::vector<Result> layer_forward(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  return sample_norm_forward(inputs, layer_layout(inputs, attributes), {inputs[0].shape[0]});
}
Gradients layer_backward(const std::vector<Tensor>& inputs, const Tensor& dy, const Attributes& attributes) {
  return sample_norm_backward(inputs, dy, layer_layout(inputs, attributes));
}
std::vector<Result> group_forward(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  return sample_norm_forward(inputs, group_layout(inputs, attributes),
                             {inputs[0].shape[0], attributes.integer("groups")});
}
Gradients group_backward(const std::vector<Tensor>& inputs, const Tensor& dy, const Attributes& attributes) {
  return sample_norm_backward(inputs, dy, group_layout(inputs, attributes));
}

Case layer_case(RandomStream& stream) {
  Extents shape = pick_image_shape(stream);
  if (coin(stream)) shape = {between(stream, 1, 5), pick(stream, {4, 7, 16, 64, 129})};
  if (shape.size() == 4 && shape[1] * shape[2] * shape[3] < 4) shape[1] = 5;
  const Extents per_sample(shape.begin() + 1, shape.end());
  return {{{"eps", 1e-5}},
          {uniform_tensor(shape, stream, -1.0f, 2.0f), uniform_tensor(per_sample, stream, 0.5f, 1.5f),
           uniform_tensor(per_sample, stream)}};
}

Case group_case(RandomStream& stream) {
  Extents shape = pick_image_shape(stream);
  const std::int64_t groups = pick(stream, {1, 2, 3, 4, 8});
  shape[1] = groups * pick(stream, {1, 2, 3, 8});
  if (shape[1] / groups * shape[2] * shape[3] < 4) shape[2] = 4;
  return {{{"groups", groups}, {"eps", 1e-5}},
          {uniform_tensor(shape, stream, -1.0f, 2.0f), uniform_tensor({shape[1]}, stream, 0.5f, 1.5f),
           uniform_tensor({shape[1]}, stream)}};
}

}  // namespace

std::vector<ReferenceOp> sample_norm_ops() {
  return {{"layer_norm", layer_forward, layer_backward, layer_case},
          {"group_norm", group_forward, group_backward, group_case}};
}

}  // namespace athanor::reference
