// dropout and stochastic_depth: masks that are pure functions of (seed, key, epoch, sample index, element).
#include "reference/families.h"

namespace athanor::reference {
namespace {

/// Inputs: x, sample_indices[N], epoch[1]. Attributes: rate, key, and seed (the run's; 0 when missing).
struct Draw {
  Purpose purpose;
  bool is_per_element;
};

/// What each element of x is multiplied by: 0 or 1 / (1 - rate).
Tensor factors(const std::vector<Tensor>& inputs, const Attributes& attributes, const Draw& draw) {
  const Tensor& x = inputs[0];
  const double rate = attributes.real("rate");
  const auto seed = static_cast<std::uint64_t>(attribute_or<std::int64_t>(attributes, "seed", 0));
  const auto key = static_cast<std::uint64_t>(attributes.integer("key"));
  const std::int64_t sample_elements = x.elements() / x.shape[0];
  Tensor result(x.shape);
  for (std::int64_t e = 0; e < x.elements(); ++e) {
    const auto sample = static_cast<std::uint64_t>(inputs[1][e / sample_elements]);
    const auto element = static_cast<std::uint32_t>(draw.is_per_element ? e % sample_elements : 0);
    const RandomStream stream(seed ^ key, draw.purpose, static_cast<std::uint64_t>(inputs[2][0]), sample);
    const bool is_kept = uniform_from(stream.block(element / 4)[element % 4]) >= static_cast<float>(rate);
    result[e] = is_kept ? 1.0 / (1.0 - rate) : 0.0;
  }
  return result;
}

Numbers multiply_random(const Tensor& x, const Tensor& factor) {
  Numbers y(x.shape);
  for (std::int64_t e = 0; e < y.elements(); ++e) y[e] = Number(x[e]) * factor[e];
  return y;
}

Case random_op_case(RandomStream& stream) {
  const Extents shape = pick_image_shape(stream);
  Tensor indices({shape[0]}), epoch({1});
  for (double& index : indices.values) index = stream.below(60000);
  epoch[0] = stream.below(200);
  const double rate = coin(stream) ? 0.5 : 0.2;
  const auto key = static_cast<std::int64_t>(key_of("layer") >> 2) + stream.below(1000);
  return {{{"rate", rate}, {"key", key}, {"seed", std::int64_t{7}}}, {uniform_tensor(shape, stream), indices, epoch}};
}

ReferenceOp random_op(const std::string& name, Draw draw) {
  ReferenceOp op{name, nullptr, nullptr, random_op_case};
  op.forward = [=](const std::vector<Tensor>& inputs, const Attributes& attributes) -> std::vector<Result> {
    return {result_of(multiply_random(inputs[0], factors(inputs, attributes, draw)))};
  };
  op.backward = [=](const std::vector<Tensor>& inputs, const Tensor& dy, const Attributes& attributes) -> Gradients {
    return {result_of(multiply_random(dy, factors(inputs, attributes, draw))), std::nullopt, std::nullopt};
  };
  return op;
}

}  // namespace

std::vector<ReferenceOp> random_ops() {
  return {random_op("dropout", {Purpose::dropout, true}),
          random_op("stochastic_depth", {Purpose::stochastic_depth, false})};
}

}  // namespace athanor::reference
