// From a model and the shape of the data to the whole graph of one shard: input, forward, loss, and for training the
// backward pass, through all passes that need no back end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/dtype.h"
#include "graph/graph.h"
#include "models/loss.h"
#include "models/model.h"

namespace athanor {

struct GraphOptions {
  std::int64_t batch = 1;  ///< images of one shard
  std::int64_t channels = 1;
  std::int64_t height = 28;
  std::int64_t width = 28;
  std::int64_t classes = 10;       ///< of the data
  std::vector<double> mean = {0};  ///< per channel, or one for all: (pixel / 255 − mean) / std goes in
  std::vector<double> std = {1};
  LossSpec loss;
  DType compute_dtype = DType::f32;  ///< of activations and of the weights that matrix products read: f32 or bf16
  std::int64_t shards = 1;  ///< of the batch: the loss is scaled by 1 / shards, so that gradients sum to the mean's
};

/// Inputs of every graph, by name: "images" uint8 [N, C, H, W], "transforms" uint8 [N, bytes of a SampleTransform],
/// "labels" int32 [N] (−1: masked out), "sample_indices" int64 [N], "epoch" int64 [1].
/// Metrics: "loss" float32 [1], the mean over the shard, and "correct" float32 [2]: how many labels are the largest
/// logit, and among the five largest. Differentiated, without dead code, fused. Throws UsageError when the model does
/// not fit the data; the message names the layer, its place and the shapes.
Graph training_graph(const ModelSpec& model, const GraphOptions& options);

/// Positions in the outputs of an evaluation graph.
inline constexpr std::size_t kEvaluationLosses = 0;  ///< float32 [N]: the loss of each sample, 0 where masked
inline constexpr std::size_t kEvaluationRanks = 1;   ///< int32 [N]: how many logits beat the label's; −1 where masked
inline constexpr std::size_t kEvaluationLogits = 2;  ///< float32 [N, classes]

/// The same forward pass with running statistics and without dropout; no gradients, no metrics. Throws UsageError.
Graph evaluation_graph(const ModelSpec& model, const GraphOptions& options);

}  // namespace athanor
