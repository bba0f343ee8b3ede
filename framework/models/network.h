// A network written in C++: each function adds a layer and returns its output, shapes are checked as the lines run.
//
//   athanor::Network net({1, 28, 28});
//   auto x = net.relu(net.batch_norm(net.conv(net.input(), {.channels = 16, .padding = 1, .bias = false})));
//   auto logits = net.linear(net.global_avg_pool(x), {.features = 10});
//   athanor::ModelSpec model = net.model(logits);
//
// The network is a description: it is built again for every batch size, for training and for evaluation.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/builder.h"
#include "models/model.h"

namespace athanor {

struct ConvOptions {
  std::int64_t channels = 0;  ///< of the output
  std::int64_t kernel = 3;
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t dilation = 1;
  std::int64_t groups = 1;
  bool bias = true;
  std::string init = "torch";  ///< he, xavier or torch
};

struct LinearOptions {
  std::int64_t features = 0;  ///< of the output
  bool bias = true;
  std::string init = "torch";  ///< he, xavier or torch
};

struct BatchNormOptions {
  double eps = 1e-5;
  double momentum = 0.1;
  bool zero_init = false;     ///< gamma starts at 0 instead of 1
  bool synchronized = false;  ///< statistics of the global batch instead of the shard's own
};

struct PoolOptions {
  std::int64_t kernel = 2;
  std::int64_t stride = 0;  ///< 0: the kernel
  std::int64_t padding = 0;
};

/// The output of a layer. Small: pass it by value. It belongs to the network that made it.
struct Tensor {
  std::int32_t index = -1;
};

/// Functions throw UsageError when shapes do not fit; the message names the layer and the shapes. Layers are named by
/// kind and number ("conv2"), and so are their parameters ("conv2.weight").
class Network {
 public:
  /// `image`: [C, H, W] of the images that the network takes.
  explicit Network(const Shape& image);

  /// The normalised images, [N, C, H, W].
  Tensor input() const { return {0}; }

  Tensor conv(Tensor x, const ConvOptions& options);
  Tensor linear(Tensor x, const LinearOptions& options);
  Tensor batch_norm(Tensor x, const BatchNormOptions& options = {});
  Tensor relu(Tensor x) { return layer("relu", x); }
  Tensor max_pool(Tensor x, const PoolOptions& options = {});
  Tensor avg_pool(Tensor x, const PoolOptions& options = {});
  Tensor global_avg_pool(Tensor x) { return layer("global_avg_pool", x); }
  Tensor flatten(Tensor x) { return layer("flatten", x); }
  Tensor dropout(Tensor x, double rate) { return layer("dropout", x, {{"rate", rate}}); }
  Tensor squeeze_excite(Tensor x, std::int64_t ratio = 16) { return layer("squeeze_excite", x, {{"ratio", ratio}}); }
  /// Any other layer of docs/recipe.md, by its name there. Throws UsageError for a layer or a setting that is not
  /// there.
  Tensor layer(std::string_view kind, Tensor x, const Attributes& attributes = {});

  /// a + b, of one shape.
  Tensor add(Tensor a, Tensor b);
  /// Channels of a, then those of b.
  Tensor concat(Tensor a, Tensor b);

  /// Shape of a layer's output for one image: [1, C, H, W] or [1, F].
  Shape shape(Tensor x) const;

  /// The model whose output is `logits`, [N, classes]. A copy: the network can go on growing.
  ModelSpec model(Tensor logits) const;

 private:
  /// Adds one layer to a graph; `inputs` are the values of `Layer::inputs`.
  using Build = std::function<ValueId(Builder&, std::span<const ValueId> inputs)>;
  struct Layer {
    std::vector<Tensor> inputs;
    Build build;
  };

  Tensor append(std::vector<Tensor> inputs, Build build);
  std::string next_name(std::string_view kind);
  void check(Tensor x) const;

  Shape image_;
  std::vector<Layer> layers_;
  std::map<std::string, int, std::less<>> count_by_kind_;
  Graph trial_;                  ///< the network at batch 1: what checks shapes while it grows
  std::vector<ValueId> values_;  ///< per tensor, in trial_
};

}  // namespace athanor
