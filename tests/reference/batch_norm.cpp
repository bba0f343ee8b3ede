// batch_norm in training (statistics of this batch, optional residual and ReLU), its backward op, inference, and that
// folded into a convolution.
#include "reference/families.h"
#include "reference/normalize.h"

namespace athanor::reference {
namespace {

constexpr double kDefaultEps = 1e-5;

/// The flat positions of channel c in [N, C, H, W], sample by sample.
std::vector<std::int64_t> positions_of(const Extents& shape, std::int64_t c) {
  const std::int64_t pixels = shape[2] * shape[3];
  std::vector<std::int64_t> positions;
  for (std::int64_t n = 0; n < shape[0]; ++n)
    for (std::int64_t p = 0; p < pixels; ++p) positions.push_back((n * shape[1] + c) * pixels + p);
  return positions;
}

Normalized normalize_channel(const Tensor& x, std::int64_t c, double eps) {
  std::vector<double> values;
  for (const std::int64_t p : positions_of(x.shape, c)) values.push_back(x[p]);
  return normalize(values, eps);
}

/// y before the activation: gamma * x_hat + beta (+ residual).
Numbers affine(const std::vector<Tensor>& inputs, double eps) {
  const Tensor &x = inputs[0], &gamma = inputs[1], &beta = inputs[2];
  Numbers y(x.shape);
  for (std::int64_t c = 0; c < x.shape[1]; ++c) {
    const Normalized normalized = normalize_channel(x, c, eps);
    const std::vector<std::int64_t> positions = positions_of(x.shape, c);
    for (std::size_t i = 0; i < positions.size(); ++i) {
      Number& value = y[positions[i]];
      value = gamma[c] * normalized.x_hat[i] + beta[c];
      if (inputs.size() > 3) value = value + inputs[3][positions[i]];
    }
  }
  return y;
}

double eps_of(const Attributes& attributes) {
  return attribute_or<double>(attributes, "eps", kDefaultEps);
}

/// Outputs: y, mean, inv_std, batch_mean, batch_var (unbiased), the last four [C].
std::vector<Result> batch_norm_forward(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const Tensor& x = inputs[0];
  const std::int64_t channels = x.shape[1];
  Numbers y = affine(inputs, eps_of(attributes));
  if (has_relu(attributes)) {
    for (Number& value : y.values) value = relu(value);
  }
  Numbers mean({channels}), inv_std({channels}), variance({channels});
  for (std::int64_t c = 0; c < channels; ++c) {
    const Normalized normalized = normalize_channel(x, c, eps_of(attributes));
    mean[c] = normalized.mean;
    inv_std[c] = normalized.inv_std;
    variance[c] = normalized.variance_unbiased;
  }
  return {result_of(y), result_of(mean), result_of(inv_std), result_of(mean), result_of(variance)};
}

/// Outputs: mean, inv_std, batch_mean, batch_var as above, and y = x * scale + shift: scale, shift.
std::vector<Result> factors(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const std::int64_t channels = inputs[0].shape[1];
  Numbers scale({channels}), shift({channels});
  for (std::int64_t c = 0; c < channels; ++c) {
    const Normalized normalized = normalize_channel(inputs[0], c, eps_of(attributes));
    scale[c] = inputs[1][c] * normalized.inv_std;
    shift[c] = inputs[2][c] - normalized.mean * scale[c];
  }
  const std::vector<Result> all = batch_norm_forward(inputs, attributes);
  return {all[1], all[2], all[3], all[4], result_of(scale), result_of(shift)};
}

struct ChannelGradients {
  Numbers dx;
  Numbers dgamma, dbeta;
};

/// From the gradient after the mask, given what normalised each channel.
ChannelGradients channel_gradients(const Tensor& g, const Tensor& gamma, const std::vector<Normalized>& normalized) {
  const std::int64_t channels = g.shape[1];
  ChannelGradients result{Numbers(g.shape), Numbers({channels}), Numbers({channels})};
  for (std::int64_t c = 0; c < channels; ++c) {
    const Normalized& channel = normalized[static_cast<std::size_t>(c)];
    const std::vector<std::int64_t> positions = positions_of(g.shape, c);
    Sum dgamma, dbeta;
    std::vector<Number> scaled;
    for (std::size_t i = 0; i < positions.size(); ++i) {
      dgamma.add(g[positions[i]] * channel.x_hat[i]);
      dbeta.add(g[positions[i]]);
      scaled.push_back(Number(g[positions[i]]) * gamma[c]);
    }
    const std::vector<Number> dx = normalize_backward(scaled, channel);
    for (std::size_t i = 0; i < positions.size(); ++i) result.dx[positions[i]] = dx[i];
    result.dgamma[c] = dgamma.total();
    result.dbeta[c] = dbeta.total();
  }
  return result;
}

Gradients batch_norm_backward(const std::vector<Tensor>& inputs, const Tensor& output_gradient,
                              const Attributes& attributes) {
  const Tensor& x = inputs[0];
  Tensor g = output_gradient;
  if (has_relu(attributes)) {
    const Numbers z = affine(inputs, eps_of(attributes));
    for (std::int64_t e = 0; e < g.elements(); ++e) g[e] = z[e].value > 0 ? g[e] : 0.0;
  }
  std::vector<Normalized> normalized;
  for (std::int64_t c = 0; c < x.shape[1]; ++c) normalized.push_back(normalize_channel(x, c, eps_of(attributes)));
  const ChannelGradients all = channel_gradients(g, inputs[1], normalized);
  Gradients gradients = {result_of(all.dx), result_of(all.dgamma), result_of(all.dbeta)};
  if (inputs.size() > 3) gradients.emplace_back(exact_result(g));
  return gradients;
}

/// dy, x, gamma, beta, mean, inv_std, (y) -> dx, dgamma, dbeta, (dresidual). The ReLU's mask comes from y when it is
/// given (the forward op added a residual), else from gamma * x_hat + beta.
std::vector<Result> forward_backward(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const Tensor &dy = inputs[0], &x = inputs[1], &gamma = inputs[2], &beta = inputs[3];
  const bool has_residual = inputs.size() > 6;
  Tensor g = dy;
  std::vector<Normalized> normalized;
  for (std::int64_t c = 0; c < x.shape[1]; ++c) {
    Normalized channel{inputs[4][c], 0.0, 0.0, inputs[5][c], {}};
    for (const std::int64_t p : positions_of(x.shape, c)) {
      channel.x_hat.push_back((x[p] - channel.mean) * channel.inv_std);
      const double y = has_residual ? inputs[6][p] : gamma[c] * channel.x_hat.back().value + beta[c];
      if (has_relu(attributes) && y <= 0) g[p] = 0.0;
    }
    normalized.push_back(channel);
  }
  const ChannelGradients all = channel_gradients(g, gamma, normalized);
  std::vector<Result> outputs = {result_of(all.dx), result_of(all.dgamma), result_of(all.dbeta)};
  if (has_residual) outputs.push_back(exact_result(g));
  return outputs;
}

std::vector<Result> inference(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const Tensor &x = inputs[0], &gamma = inputs[1], &beta = inputs[2], &mean = inputs[3], &variance = inputs[4];
  Numbers y(x.shape);
  for (std::int64_t c = 0; c < x.shape[1]; ++c) {
    const Number inv_std = 1.0 / sqrt(Number(variance[c]) + eps_of(attributes));
    for (const std::int64_t p : positions_of(x.shape, c)) {
      y[p] = gamma[c] * inv_std * (Number(x[p]) - mean[c]) + beta[c];
      if (has_relu(attributes)) y[p] = relu(y[p]);
    }
  }
  return {result_of(y)};
}

/// Gradients by x, gamma and beta; the running statistics are constants.
Gradients inference_backward(const std::vector<Tensor>& inputs, const Tensor& dy, const Attributes& attributes) {
  const Tensor &x = inputs[0], &gamma = inputs[1], &mean = inputs[3], &variance = inputs[4];
  const Tensor y = inference(inputs, attributes)[0].value;
  Numbers dx(x.shape);
  Sums dgamma(gamma.shape), dbeta(gamma.shape);
  for (std::int64_t c = 0; c < x.shape[1]; ++c) {
    const Number inv_std = 1.0 / sqrt(Number(variance[c]) + eps_of(attributes));
    for (const std::int64_t p : positions_of(x.shape, c)) {
      const double g = has_relu(attributes) && y[p] <= 0 ? 0.0 : dy[p];
      dx[p] = g * (gamma[c] * inv_std);
      dgamma[c].add(g * ((Number(x[p]) - mean[c]) * inv_std));
      dbeta[c].add(g);
    }
  }
  return {result_of(dx), result_of(dgamma), result_of(dbeta), std::nullopt, std::nullopt};
}

Case draw_batch_norm_case(RandomStream& stream) {
  Extents shape = pick_image_shape(stream);
  if (shape[0] * shape[2] * shape[3] < 4) shape[0] = 4;  // one number has no variance, two or three hardly any
  const Extents per_channel = {shape[1]};
  Case drawn;
  drawn.attributes = {{"eps", kDefaultEps}, {"momentum", 0.1}};
  drawn.inputs = {uniform_tensor(shape, stream, -1.0f, 2.0f), uniform_tensor(per_channel, stream, 0.5f, 1.5f),
                  uniform_tensor(per_channel, stream)};
  const bool has_residual = stream.below(3) == 0;
  if (has_residual) drawn.inputs.push_back(uniform_tensor(shape, stream));
  drawn.attributes.set("activation", std::string(coin(stream) ? "relu" : "none"));
  return drawn;
}

Case training_case(RandomStream& stream) {
  return draw_away_from_kinks(stream, draw_batch_norm_case,
                              [](const Case& c) { return affine(c.inputs, eps_of(c.attributes)); });
}

Case factors_case(RandomStream& stream) {
  Case drawn = draw_batch_norm_case(stream);
  drawn.inputs.resize(3);
  drawn.attributes = {{"eps", kDefaultEps}};
  return drawn;
}

Case backward_case(RandomStream& stream) {
  const Case drawn = training_case(stream);
  const std::vector<Result> outputs = batch_norm_forward(drawn.inputs, drawn.attributes);
  Case result{drawn.attributes, {uniform_tensor(drawn.inputs[0].shape, stream)}};
  result.inputs.insert(result.inputs.end(), drawn.inputs.begin(), drawn.inputs.begin() + 3);
  result.inputs.push_back(rounded_to_float(outputs[1].value));
  result.inputs.push_back(rounded_to_float(outputs[2].value));
  if (drawn.inputs.size() > 3) result.inputs.push_back(rounded_to_float(outputs[0].value));
  return result;
}

Case inference_case(RandomStream& stream) {
  const Extents shape = pick_image_shape(stream);
  const Extents per_channel = {shape[1]};
  return {{{"eps", kDefaultEps}},
          {uniform_tensor(shape, stream), uniform_tensor(per_channel, stream, 0.5f, 1.5f),
           uniform_tensor(per_channel, stream), uniform_tensor(per_channel, stream),
           uniform_tensor(per_channel, stream, 0.25f, 2.0f)}};
}

/// weight, gamma, beta, mean, variance, (bias) -> the weights and the bias of a convolution that normalises too.
std::vector<Result> fold(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const Tensor &weight = inputs[0], &gamma = inputs[1], &beta = inputs[2], &mean = inputs[3], &variance = inputs[4];
  Numbers folded(weight.shape), bias(gamma.shape);
  const std::int64_t elements = weight.elements() / weight.shape[0];
  for (std::int64_t c = 0; c < weight.shape[0]; ++c) {
    const Number scale = gamma[c] * (1.0 / sqrt(Number(variance[c]) + eps_of(attributes)));
    for (std::int64_t e = c * elements; e < (c + 1) * elements; ++e) folded[e] = weight[e] * scale;
    bias[c] = beta[c] + (Number(inputs.size() > 5 ? inputs[5][c] : 0.0) - mean[c]) * scale;
  }
  return {result_of(folded), result_of(bias)};
}

Case fold_case(RandomStream& stream) {
  const Extents per_channel = {pick_channels(stream)};
  const Extents weight = {per_channel[0], pick_channels(stream), between(stream, 1, 3), between(stream, 1, 3)};
  Case drawn{{{"eps", kDefaultEps}},
             {uniform_tensor(weight, stream), uniform_tensor(per_channel, stream, 0.5f, 1.5f),
              uniform_tensor(per_channel, stream), uniform_tensor(per_channel, stream),
              uniform_tensor(per_channel, stream, 0.25f, 2.0f)}};
  if (coin(stream)) drawn.inputs.push_back(uniform_tensor(per_channel, stream));
  return drawn;
}

}  // namespace

std::vector<ReferenceOp> batch_norm_ops() {
  return {{"batch_norm", batch_norm_forward, batch_norm_backward, training_case},
          {"batch_norm_factors", factors, nullptr, factors_case},
          {"batch_norm_backward", forward_backward, nullptr, backward_case},
          {"batch_norm_inference", inference, inference_backward, inference_case},
          {"fold_batch_norm", fold, nullptr, fold_case}};
}

}  // namespace athanor::reference
