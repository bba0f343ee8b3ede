#include "models/network.h"

#include <algorithm>

#include "config/registry.h"
#include "graph/layer.h"

namespace athanor {
namespace {

std::vector<std::int64_t> one(std::int64_t value) {
  return {value};
}

/// Real settings of a schema may be given as integers: `{{"slope", 1}}`.
AttributeValue converted(const AttributeValue& value, FieldType type) {
  if (type == FieldType::real && std::holds_alternative<std::int64_t>(value)) {
    return static_cast<double>(std::get<std::int64_t>(value));
  }
  if (type == FieldType::integers && std::holds_alternative<std::int64_t>(value)) {
    return one(std::get<std::int64_t>(value));
  }
  return value;
}

Attributes checked(std::string_view kind, const Attributes& given) {
  const Schema* schema = find_schema("layer", kind);
  if (schema == nullptr) throw UsageError("there is no layer '{}'; docs/recipe.md lists them", kind);
  Attributes attributes = schema->defaults();
  for (const auto& [key, value] : given.entries()) {
    const Field* field = schema->find(key);
    if (field == nullptr) throw UsageError("layer '{}' has no setting '{}'; docs/recipe.md lists them", kind, key);
    attributes.set(key, converted(value, field->type));
  }
  for (const Field& field : schema->fields) {
    if (field.type == FieldType::layers || attributes.find(field.name) == nullptr) {
      throw UsageError("layer '{}' needs '{}'", kind, field.name);
    }
  }
  return attributes;
}

void want_positive(std::string_view what, std::int64_t value) {
  if (value < 1) throw UsageError("{} is {}, want at least 1", what, value);
}

Attributes attributes_of(const PoolOptions& options) {
  want_positive("the kernel of a pool", options.kernel);
  return {{"kernel", one(options.kernel)}, {"stride", one(options.stride)}, {"padding", one(options.padding)}};
}

}  // namespace

Network::Network(const Shape& image) : image_(image) {
  if (image.rank() != 3) throw UsageError("a network's image is [C, H, W], got {}", image.text());
  for (const std::int64_t extent : image.extents()) want_positive("an extent of the network's image", extent);
  Builder builder(trial_);
  values_.push_back(builder.input("images", {1, image[0], image[1], image[2]}, DType::f32));
  builder.input("sample_indices", {1}, DType::i64);
  builder.input("epoch", {1}, DType::i64);
  layers_.emplace_back();
}

Tensor Network::conv(Tensor x, const ConvOptions& options) {
  want_positive("ConvOptions::channels", options.channels);
  want_positive("ConvOptions::kernel", options.kernel);
  want_positive("ConvOptions::stride", options.stride);
  want_positive("ConvOptions::dilation", options.dilation);
  want_positive("ConvOptions::groups", options.groups);
  return layer("conv", x,
               {{"channels", options.channels},
                {"kernel", one(options.kernel)},
                {"stride", one(options.stride)},
                {"padding", one(options.padding)},
                {"dilation", one(options.dilation)},
                {"groups", options.groups},
                {"bias", options.bias},
                {"init", options.init}});
}

Tensor Network::linear(Tensor x, const LinearOptions& options) {
  want_positive("LinearOptions::features", options.features);
  return layer("linear", x, {{"features", options.features}, {"bias", options.bias}, {"init", options.init}});
}

Tensor Network::batch_norm(Tensor x, const BatchNormOptions& options) {
  return layer("batch_norm", x,
               {{"eps", options.eps},
                {"momentum", options.momentum},
                {"zero_init", options.zero_init},
                {"synchronized", options.synchronized}});
}

Tensor Network::max_pool(Tensor x, const PoolOptions& options) {
  return layer("max_pool", x, attributes_of(options));
}

Tensor Network::avg_pool(Tensor x, const PoolOptions& options) {
  return layer("avg_pool", x, attributes_of(options));
}

Tensor Network::layer(std::string_view kind, Tensor x, const Attributes& attributes) {
  const Attributes all = checked(kind, attributes);
  const std::string name = next_name(kind);
  return append({x}, [kind = std::string(kind), all, name](Builder& builder, std::span<const ValueId> inputs) {
    return build_layer(builder, inputs[0], kind, all, name);
  });
}

Tensor Network::add(Tensor a, Tensor b) {
  return append({a, b}, [name = next_name("add")](Builder& builder, std::span<const ValueId> inputs) {
    const Scope scope(builder, name);
    return builder.add1("add", {inputs[0], inputs[1]});
  });
}

Tensor Network::concat(Tensor a, Tensor b) {
  return append({a, b}, [name = next_name("concat")](Builder& builder, std::span<const ValueId> inputs) {
    const Scope scope(builder, name);
    return builder.add1("concat", {inputs[0], inputs[1]});
  });
}

Shape Network::shape(Tensor x) const {
  check(x);
  return trial_.value(values_[static_cast<std::size_t>(x.index)]).shape;
}

ModelSpec Network::model(Tensor logits) const {
  check(logits);
  std::vector<Layer> layers(layers_.begin(), layers_.begin() + logits.index + 1);
  ModelSpec spec;
  spec.input = image_;
  spec.build = [layers = std::move(layers)](Builder& builder, ValueId x) {
    std::vector<ValueId> values{x};
    for (std::size_t i = 1; i < layers.size(); ++i) {
      std::vector<ValueId> inputs;
      for (const Tensor input : layers[i].inputs) inputs.push_back(values[static_cast<std::size_t>(input.index)]);
      values.push_back(layers[i].build(builder, inputs));
    }
    return values.back();
  };
  return spec;
}

Tensor Network::append(std::vector<Tensor> inputs, Build build) {
  std::vector<ValueId> ids;
  for (const Tensor input : inputs) {
    check(input);
    ids.push_back(values_[static_cast<std::size_t>(input.index)]);
  }
  Builder builder(trial_);
  values_.push_back(build(builder, ids));
  layers_.push_back({std::move(inputs), std::move(build)});
  return {static_cast<std::int32_t>(values_.size() - 1)};
}

std::string Network::next_name(std::string_view kind) {
  return fmt::format("{}{}", kind, ++count_by_kind_[std::string(kind)]);
}

void Network::check(Tensor x) const {
  if (x.index < 0 || static_cast<std::size_t>(x.index) >= values_.size()) {
    throw UsageError("this tensor was not made by this network; begin with Network::input()");
  }
}

}  // namespace athanor
