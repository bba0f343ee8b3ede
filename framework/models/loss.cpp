#include "models/loss.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "config/registry.h"

namespace athanor {
namespace {

const RegisterSchema kCrossEntropy{
    "loss",
    {.name = "cross_entropy",
     .doc = "Cross-entropy of the softmax of the logits, mean over the samples.",
     .fields = {real("label_smoothing", 0.0,
                     "Share of the target that goes to all classes alike (Szegedy et al. 2016).")
                    .at_least(0)
                    .at_most(1),
                reals("class_weights", std::vector<double>{},
                      "One factor per class; none: all 1. The mean is the sum over the samples by the sum of their "
                      "labels' factors: of each shard in training, of the whole split in evaluation.")
                    .at_least(0)},
     .shorthand = {}}};
const RegisterSchema kMeanSquaredError{
    "loss", {.name = "mse", .doc = "Mean squared error against the one-hot label.", .fields = {}, .shorthand = {}}};
const RegisterSchema kBinaryCrossEntropy{
    "loss",
    {.name = "bce_with_logits",
     .doc = "Binary cross-entropy of each logit's sigmoid against the one-hot label.",
     .fields = {},
     .shorthand = {}}};

[[noreturn]] void refuse(const Location& place, const std::string& message) {
  const std::string where = place.text();
  throw UsageError("{}{}{}", where, where.empty() ? "" : ": ", message);
}

Attributes with_defaults(const LossSpec& loss) {
  const Schema* schema = find_schema("loss", loss.name);
  if (schema == nullptr) {
    std::vector<std::string> names;
    for (const Schema* known : schemas_of("loss")) names.push_back(known->name);
    refuse(loss.place, fmt::format("unknown loss '{}'; use one of {}", loss.name, fmt::join(names, ", ")));
  }
  Attributes attributes = schema->defaults();
  for (const auto& [key, value] : loss.attributes.entries()) {
    if (schema->find(key) == nullptr) refuse(loss.place, fmt::format("loss {} has no setting '{}'", loss.name, key));
    attributes.set(key, value);
  }
  return attributes;
}

ValueId class_weights(Builder& builder, const LossSpec& loss, const Attributes& attributes, std::int64_t classes) {
  const std::vector<double> weights = class_weights_of(attributes);
  if (weights.empty()) return kNoValue;
  if (static_cast<std::int64_t>(weights.size()) != classes) {
    refuse(loss.place,
           fmt::format("loss.class_weights has {} values, the model has {} classes", weights.size(), classes));
  }
  if (std::all_of(weights.begin(), weights.end(), [](double weight) { return weight == 0; })) {
    refuse(loss.place, "loss.class_weights are all 0; at least one must be above 0");
  }
  return builder.constant("class_weights", {classes}, std::vector<float>(weights.begin(), weights.end()));
}

}  // namespace

std::vector<double> class_weights_of(const Attributes& loss) {
  const AttributeValue* weights = loss.find("class_weights");
  return weights == nullptr ? std::vector<double>{} : std::get<std::vector<double>>(*weights);
}

LossValues build_loss(Builder& builder, ValueId logits, ValueId labels, const LossSpec& loss) {
  const Attributes attributes = with_defaults(loss);
  const Scope scope(builder, "loss", loss.place);
  const std::int64_t classes = builder.shape(logits)[1];
  std::vector<ValueId> outputs;
  if (loss.name == "cross_entropy") {
    outputs = builder.add("cross_entropy", {logits, labels, class_weights(builder, loss, attributes, classes)},
                          {{"label_smoothing", attributes.real("label_smoothing")}});
  } else {
    const ValueId target = builder.add1("one_hot", {labels}, {{"classes", classes}});
    outputs = builder.add(loss.name == "mse" ? "mse_loss" : "bce_with_logits", {logits, target});
  }
  return {outputs[0], outputs[1]};
}

}  // namespace athanor
