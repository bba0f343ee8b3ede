// The parts of a batch norm over several shards: what a shard sums, what the shards' sums give together, and what is
// written from that. That the parts together are a batch norm and its gradient is checked on the backend.
#include "reference/families.h"

namespace athanor::reference {
namespace {

constexpr double kUsualEps = 1e-5;

/// Calls visit(channel, flat position) for every element of [N, C, H, W].
template <typename Visit>
void for_elements(const Extents& shape, Visit visit) {
  const std::int64_t pixels = shape[2] * shape[3], count = product(shape);
  for (std::int64_t at = 0; at < count; ++at) visit(at / pixels % shape[1], at);
}

std::int64_t elements_of_a_channel(const Extents& shape) {
  return shape[0] * shape[2] * shape[3];
}

/// x -> [2, C]: mean and biased variance.
std::vector<Result> shard_moments(const std::vector<Tensor>& inputs, const Attributes&) {
  const Tensor& x = inputs[0];
  const std::int64_t channels = x.shape[1];
  const auto n = static_cast<double>(elements_of_a_channel(x.shape));
  Sums sum({channels}), squares({channels});
  Numbers result({2, channels});
  for_elements(x.shape, [&](std::int64_t c, std::int64_t at) { sum[c].add(x[at]); });
  for (std::int64_t c = 0; c < channels; ++c) result[c] = sum[c].total() / n;
  for_elements(x.shape,
               [&](std::int64_t c, std::int64_t at) { squares[c].add((x[at] - result[c]) * (x[at] - result[c])); });
  for (std::int64_t c = 0; c < channels; ++c) result[channels + c] = squares[c].total() / n;
  return {result_of(result)};
}

std::vector<Result> gather_shards(const std::vector<Tensor>& inputs, const Attributes&) {
  Tensor all = inputs[0];
  all.shape.insert(all.shape.begin(), 1);
  return {exact_result(all)};
}

/// [S, 2, C] -> mean, inv_std, batch_mean, batch_var (unbiased). The variance of the whole is the mean of the variances
/// and the variance of the means.
std::vector<Result> combine_moments(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const Tensor& given = inputs[0];
  const std::int64_t shards = given.shape[0], channels = given.shape[2];
  const double n = static_cast<double>(attributes.integer("count") * shards);
  Numbers mean({channels}), inv_std({channels}), unbiased({channels});
  for (std::int64_t c = 0; c < channels; ++c) {
    Sum means, squares;
    for (std::int64_t s = 0; s < shards; ++s) means.add(given[s * 2 * channels + c]);
    mean[c] = means.total() / static_cast<double>(shards);
    for (std::int64_t s = 0; s < shards; ++s) {
      const Number off = given[s * 2 * channels + c] - mean[c];
      squares.add(given[(s * 2 + 1) * channels + c] + off * off);
    }
    const Number variance = squares.total() / static_cast<double>(shards);
    inv_std[c] = 1.0 / sqrt(variance + attribute_or<double>(attributes, "eps", kUsualEps));
    unbiased[c] = n > 1 ? variance * (n / (n - 1)) : Number(0);
  }
  return {result_of(mean), result_of(inv_std), result_of(mean), result_of(unbiased)};
}

/// y before the activation, from x, gamma, beta, mean, inv_std, (residual).
Numbers affine_of_statistics(const std::vector<Tensor>& inputs) {
  const Tensor &x = inputs[0], &gamma = inputs[1], &beta = inputs[2], &mean = inputs[3], &inv_std = inputs[4];
  Numbers y(x.shape);
  for_elements(x.shape, [&](std::int64_t c, std::int64_t at) {
    y[at] = gamma[c] * inv_std[c] * (Number(x[at]) - mean[c]) + beta[c];
    if (inputs.size() > 5) y[at] = y[at] + inputs[5][at];
  });
  return y;
}

std::vector<Result> apply_statistics(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  Numbers y = affine_of_statistics(inputs);
  if (has_relu(attributes)) {
    for (Number& value : y.values) value = relu(value);
  }
  return {result_of(y)};
}

/// dy where the output of the forward op, recomputed or given as y, is not <= 0.
Tensor masked_by_statistics(const std::vector<Tensor>& inputs, const Attributes& attributes, const Tensor* y) {
  Tensor dz = inputs[0];
  if (!has_relu(attributes)) return dz;
  const Numbers z = affine_of_statistics({inputs.begin() + 1, inputs.begin() + 6});
  for (std::int64_t at = 0; at < dz.elements(); ++at) {
    if ((y != nullptr ? (*y)[at] : z[at].value) <= 0) dz[at] = 0;
  }
  return dz;
}

/// dy, x, gamma, beta, mean, inv_std, (y) -> sums [2, C], dgamma, dbeta, (dresidual).
std::vector<Result> shard_sums(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const Tensor &x = inputs[1], &mean = inputs[4], &inv_std = inputs[5];
  const bool has_residual = inputs.size() > 6;
  const Tensor dz = masked_by_statistics(inputs, attributes, has_residual ? &inputs[6] : nullptr);
  const std::int64_t channels = x.shape[1];
  Sums both({2, channels}), dgamma({channels}), dbeta({channels});
  for_elements(x.shape, [&](std::int64_t c, std::int64_t at) {
    const Number product = dz[at] * ((Number(x[at]) - mean[c]) * inv_std[c]);
    both[c].add(dz[at]);
    both[channels + c].add(product);
    dbeta[c].add(dz[at]);
    dgamma[c].add(product);
  });
  std::vector<Result> outputs{result_of(both), result_of(dgamma), result_of(dbeta)};
  if (has_residual) outputs.push_back(exact_result(dz));
  return outputs;
}

/// dy, x, gamma, beta, mean, inv_std, sums [S, 2, C] -> dx.
std::vector<Result> input_gradient(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const Tensor &x = inputs[1], &gamma = inputs[2], &mean = inputs[4], &inv_std = inputs[5], &given = inputs[6];
  const std::int64_t shards = given.shape[0], channels = x.shape[1];
  const auto n = static_cast<double>(elements_of_a_channel(x.shape) * shards);
  const Tensor dz = masked_by_statistics(inputs, attributes, nullptr);
  Sums dbeta({channels}), dgamma({channels});
  for (std::int64_t s = 0; s < shards; ++s) {
    for (std::int64_t c = 0; c < channels; ++c) {
      dbeta[c].add(given[s * 2 * channels + c]);
      dgamma[c].add(given[(s * 2 + 1) * channels + c]);
    }
  }
  Numbers dx(x.shape);
  for_elements(x.shape, [&](std::int64_t c, std::int64_t at) {
    const Number x_hat = (Number(x[at]) - mean[c]) * inv_std[c];
    dx[at] = gamma[c] * inv_std[c] * (dz[at] - dbeta[c].total() / n - x_hat * (dgamma[c].total() / n));
  });
  return {result_of(dx)};
}

Extents pick_normed_shape(RandomStream& stream) {
  Extents shape = pick_image_shape(stream);
  if (elements_of_a_channel(shape) < 4) shape[0] = 4;
  return shape;
}

Case moments_case(RandomStream& stream) {
  return {{}, {uniform_tensor(pick_normed_shape(stream), stream, -1.0f, 2.0f)}};
}

Case gather_case(RandomStream& stream) {
  return {{{"shards", std::int64_t{1}}}, {uniform_tensor({2, pick_channels(stream)}, stream)}};
}

Case combine_case(RandomStream& stream) {
  const std::int64_t shards = between(stream, 1, 9), channels = pick_channels(stream);
  Tensor given = uniform_tensor({shards, 2, channels}, stream, 0.0f, 2.0f);
  return {{{"eps", kUsualEps}, {"count", between(stream, 1, 100)}}, {given}};
}

Case draw_apply(RandomStream& stream, bool with_residual) {
  const Extents shape = pick_normed_shape(stream), per_channel = {shape[1]};
  Case drawn{{{"activation", std::string(coin(stream) ? "relu" : "none")}},
             {uniform_tensor(shape, stream), uniform_tensor(per_channel, stream, 0.5f, 1.5f),
              uniform_tensor(per_channel, stream), uniform_tensor(per_channel, stream),
              uniform_tensor(per_channel, stream, 0.5f, 2.0f)}};
  if (with_residual && coin(stream)) drawn.inputs.push_back(uniform_tensor(shape, stream));
  return drawn;
}

Case apply_case(RandomStream& stream, bool with_residual) {
  return draw_away_from_kinks(
      stream, [&](RandomStream& s) { return draw_apply(s, with_residual); },
      [](const Case& c) { return affine_of_statistics(c.inputs); });
}

Case sums_case(RandomStream& stream, bool with_residual) {
  Case drawn = apply_case(stream, with_residual);
  const Tensor y = rounded_to_float(apply_statistics(drawn.inputs, drawn.attributes)[0].value);
  const Tensor dy = uniform_tensor(drawn.inputs[0].shape, stream);
  const bool has_residual = drawn.inputs.size() > 5;
  drawn.inputs.resize(5);
  drawn.inputs.insert(drawn.inputs.begin(), dy);
  if (has_residual) drawn.inputs.push_back(y);
  return drawn;
}

Case input_gradient_case(RandomStream& stream) {
  Case drawn = sums_case(stream, false);
  drawn.inputs.push_back(uniform_tensor({between(stream, 1, 9), 2, drawn.inputs[0].shape[1]}, stream));
  return drawn;
}

}  // namespace

std::vector<ReferenceOp> synchronized_batch_norm_ops() {
  return {{"batch_norm_moments", shard_moments, nullptr, moments_case},
          {"gather_shards", gather_shards, nullptr, gather_case},
          {"batch_norm_combine", combine_moments, nullptr, combine_case},
          {"batch_norm_apply", apply_statistics, nullptr, [](RandomStream& s) { return apply_case(s, true); }},
          {"batch_norm_sums", shard_sums, nullptr, [](RandomStream& s) { return sums_case(s, true); }},
          {"batch_norm_input_gradient", input_gradient, nullptr, input_gradient_case}};
}

}  // namespace athanor::reference
