// cross_entropy (label smoothing, class weights, masked samples), one_hot, mse_loss and bce_with_logits.
#include <cmath>

#include "reference/families.h"
#include "reference/softmax.h"

namespace athanor::reference {
namespace {

struct CrossEntropy {
  const Tensor &logits, &labels;
  const Tensor* weights;
  double smoothing;

  double weight(std::int64_t k) const { return weights == nullptr ? 1.0 : (*weights)[k]; }
  std::int64_t label(std::int64_t n) const { return static_cast<std::int64_t>(labels[n]); }
  /// What the mean divides by: the weights of the labels of unmasked samples. With none of them the loss is 0.
  Number divisor() const {
    Sum sum;
    for (std::int64_t n = 0; n < logits.shape[0]; ++n) {
      if (label(n) >= 0) sum.add(weight(label(n)));
    }
    return sum.total().value > 0 ? sum.total() : Number(1.0);
  }
};

CrossEntropy cross_entropy_of(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  return {inputs[0], inputs[1], inputs.size() > 2 ? &inputs[2] : nullptr,
          attribute_or<double>(attributes, "label_smoothing", 0.0)};
}

/// Outputs: loss[1], and each sample's own loss[N] before the division (0 where masked). With smoothing e:
/// (1 - e) * w[label] * -log p[label] + e / K * sum over k of w[k] * -log p[k].
std::vector<Result> cross_entropy_forward(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const CrossEntropy c = cross_entropy_of(inputs, attributes);
  const std::int64_t classes = c.logits.shape[1];
  Numbers per_sample({c.logits.shape[0]});
  Sum total;
  for (std::int64_t n = 0; n < c.logits.shape[0]; ++n) {
    if (c.label(n) < 0) continue;
    const std::vector<Number> log_p = log_softmax_row(c.logits, n);
    Sum sample;
    for (std::int64_t k = 0; k < classes; ++k) {
      const double target = (k == c.label(n) ? 1.0 - c.smoothing : 0.0) + c.smoothing / static_cast<double>(classes);
      if (target != 0.0) sample.add(target * c.weight(k) * -log_p[static_cast<std::size_t>(k)]);
    }
    per_sample[n] = sample.total();
    total.add(sample.total());
  }
  Numbers loss({1});
  loss[0] = total.total() / c.divisor();
  return {result_of(loss), result_of(per_sample)};
}

/// dlogits[n, k] = scale / divisor * (p[k] * sum over j of t[j] - t[k]), t[k] = target[k] * w[k].
Result cross_entropy_gradient(const CrossEntropy& c, double scale) {
  const std::int64_t classes = c.logits.shape[1];
  Numbers dlogits(c.logits.shape);
  for (std::int64_t n = 0; n < c.logits.shape[0]; ++n) {
    if (c.label(n) < 0) continue;
    const std::vector<Number> p = softmax_row(c.logits, n);
    std::vector<double> targets;
    Sum sum;
    for (std::int64_t k = 0; k < classes; ++k) {
      const double target = (k == c.label(n) ? 1.0 - c.smoothing : 0.0) + c.smoothing / static_cast<double>(classes);
      targets.push_back(target * c.weight(k));
      sum.add(targets.back());
    }
    for (std::int64_t k = 0; k < classes; ++k) {
      const auto i = static_cast<std::size_t>(k);
      dlogits.at(n, k) = scale * (p[i] * sum.total() - targets[i]) / c.divisor();
    }
  }
  return result_of(dlogits);
}

Gradients cross_entropy_backward(const std::vector<Tensor>& inputs, const Tensor& dy, const Attributes& attributes) {
  Gradients gradients = {cross_entropy_gradient(cross_entropy_of(inputs, attributes), dy[0]), std::nullopt};
  if (inputs.size() > 2) gradients.emplace_back(std::nullopt);
  return gradients;
}

std::vector<Result> cross_entropy_backward_forward(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  return {cross_entropy_gradient(cross_entropy_of(inputs, attributes), attribute_or<double>(attributes, "scale", 1.0))};
}

std::vector<Result> one_hot_forward(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  Tensor t({inputs[0].elements(), attributes.integer("classes")});
  for (std::int64_t n = 0; n < inputs[0].elements(); ++n) {
    const auto label = static_cast<std::int64_t>(inputs[0][n]);
    if (label >= 0) t.at(n, label) = 1.0;
  }
  return {exact_result(t)};
}

/// Outputs: the mean of all elements [1], and of each sample's own [N].
std::vector<Result> means_of(const Numbers& elements) {
  const std::int64_t samples = elements.shape[0], features = elements.shape[1];
  Sum total;
  Sums per_sample({samples});
  for (std::int64_t e = 0; e < elements.elements(); ++e) {
    total.add(elements[e]);
    per_sample[e / features].add(elements[e]);
  }
  Numbers loss({1}), sample_loss({samples});
  loss[0] = total.total() / static_cast<double>(elements.elements());
  for (std::int64_t n = 0; n < samples; ++n) {
    sample_loss[n] = per_sample[n].total() / static_cast<double>(features);
  }
  return {result_of(loss), result_of(sample_loss)};
}

std::vector<Result> mse_forward(const std::vector<Tensor>& inputs, const Attributes&) {
  const Tensor &x = inputs[0], &t = inputs[1];
  Numbers elements(x.shape);
  for (std::int64_t e = 0; e < x.elements(); ++e) {
    const Number difference = Number(x[e]) - t[e];
    elements[e] = difference * difference;
  }
  return means_of(elements);
}

Gradients mse_backward(const std::vector<Tensor>& inputs, const Tensor& dy, const Attributes&) {
  const Tensor &x = inputs[0], &t = inputs[1];
  Numbers dx(x.shape), dt(t.shape);
  for (std::int64_t e = 0; e < x.elements(); ++e) {
    dx[e] = 2.0 * dy[0] / static_cast<double>(x.elements()) * (Number(x[e]) - t[e]);
    dt[e] = -dx[e];
  }
  return {result_of(dx), result_of(dt)};
}

/// max(x, 0) - x * t + log(1 + exp(-|x|)), which never overflows.
std::vector<Result> bce_forward(const std::vector<Tensor>& inputs, const Attributes&) {
  const Tensor &x = inputs[0], &t = inputs[1];
  Numbers elements(x.shape);
  for (std::int64_t e = 0; e < x.elements(); ++e) {
    elements[e] = relu(x[e]) - Number(x[e]) * t[e] + log1p(exp(Number(-std::abs(x[e]))));
  }
  return means_of(elements);
}

Gradients bce_backward(const std::vector<Tensor>& inputs, const Tensor& dy, const Attributes&) {
  const Tensor &x = inputs[0], &t = inputs[1];
  Numbers dx(x.shape), dt(t.shape);
  const double scale = dy[0] / static_cast<double>(x.elements());
  for (std::int64_t e = 0; e < x.elements(); ++e) {
    dx[e] = scale * (1.0 / (1.0 + exp(Number(-x[e]))) - t[e]);
    dt[e] = -scale * Number(x[e]);
  }
  return {result_of(dx), result_of(dt)};
}

Tensor draw_labels(RandomStream& stream, std::int64_t samples, std::int64_t classes, bool has_masked) {
  Tensor labels({samples});
  for (double& label : labels.values) label = stream.below(static_cast<std::uint32_t>(classes));
  if (has_masked && samples > 1) labels[between(stream, 1, samples - 1)] = -1;
  return labels;
}

Case cross_entropy_case(RandomStream& stream) {
  const std::int64_t samples = between(stream, 1, 9), classes = pick(stream, {2, 3, 10, 17, 100});
  Case drawn{{{"label_smoothing", coin(stream) ? 0.0 : 0.1}},
             {uniform_tensor({samples, classes}, stream, -4.0f, 4.0f),
              draw_labels(stream, samples, classes, stream.below(3) == 0)}};
  if (stream.below(3) == 0) drawn.inputs.push_back(uniform_tensor({classes}, stream, 0.25f, 2.0f));
  return drawn;
}

Case cross_entropy_backward_case(RandomStream& stream) {
  Case drawn = cross_entropy_case(stream);
  drawn.attributes = {{"label_smoothing", drawn.attributes.real("label_smoothing")},
                      {"scale", coin(stream) ? 1.0 : 0.125}};
  return drawn;
}

Case one_hot_case(RandomStream& stream) {
  const std::int64_t classes = pick(stream, {1, 2, 10, 100});
  return {{{"classes", classes}}, {draw_labels(stream, between(stream, 1, 9), classes, coin(stream))}};
}

Case pair_case(RandomStream& stream) {
  const Extents shape = {between(stream, 1, 5), pick(stream, {1, 2, 10, 64, 101})};
  return {{}, {tensor_away_from_zero(shape, stream), uniform_tensor(shape, stream, 0.0f, 1.0f)}};
}

}  // namespace

std::vector<ReferenceOp> loss_ops() {
  return {{"cross_entropy", cross_entropy_forward, cross_entropy_backward, cross_entropy_case},
          {"cross_entropy_backward", cross_entropy_backward_forward, nullptr, cross_entropy_backward_case},
          {"one_hot", one_hot_forward, nullptr, one_hot_case},
          {"mse_loss", mse_forward, mse_backward, pair_case},
          {"bce_with_logits", bce_forward, bce_backward, pair_case}};
}

}  // namespace athanor::reference
