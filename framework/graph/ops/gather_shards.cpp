// gather_shards: where all shards of the batch meet. Each gives its value and gets those of all, by the shard's global
// number: nothing is computed, so the bits cannot depend on which rank runs which shard.
#include "graph/ops/support.h"

namespace athanor {
namespace {

/// x [C…] → [shards, C…]
std::vector<TensorType> infer_gather_shards(const InferContext& context) {
  if (context.dtype(0) != DType::f32) throw ShapeMismatch{"gather_shards moves float32"};
  std::vector<std::int64_t> extents{context.attributes.integer("shards")};
  for (const std::int64_t extent : context.shape(0).extents()) extents.push_back(extent);
  return {{Shape(std::span<const std::int64_t>(extents)), DType::f32}};
}

const RegisterOp kGatherShards{{
    .name = "gather_shards",
    .attributes = {integer("shards", 1, "Shards of the batch.").at_least(1)},
    .infer = infer_gather_shards,
    .no_gradient = "the ops that read it give the gradient through all shards themselves",
    .synchronizes = true,
}};

}  // namespace
}  // namespace athanor
