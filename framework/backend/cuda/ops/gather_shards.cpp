// gather_shards of a shard that runs on its own, on GPUs: as if all shards of the batch were like it, which for a batch
// of one is what it says. Where shards run together, the executor moves their values over what this step wrote.
#include "backend/cuda/op.h"

namespace athanor::cuda {
namespace {

NodeChoice choose_gather(const CudaChooseContext& context) {
  return choose_plain(context, own_implementation("gather_shards"));
}

Step prepare_gather(const CudaBinding& b) {
  const std::size_t bytes = BackendPlanner::dense_bytes(b.input_value(0));
  const auto shards = static_cast<std::size_t>(b.node.attributes.integer("shards"));
  return [bytes, shards, x = b.input<void>(0), y = b.output<std::byte>(0), &device = b.device](Stream stream) {
    for (std::size_t shard = 0; shard < shards; ++shard) device.copy(y + shard * bytes, x, bytes, stream);
  };
}

const RegisterCudaOp kGatherShards{"gather_shards", {choose_gather, prepare_gather}};

}  // namespace
}  // namespace athanor::cuda
