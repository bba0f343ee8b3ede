// gather_shards on GPUs: the executor moves the values of all shards where they meet, so the step does nothing.
#include "backend/cuda/op.h"

namespace athanor::cuda {
namespace {

NodeChoice choose_gather(const CudaChooseContext& context) {
  return choose_plain(context, own_implementation("gather_shards"));
}

const RegisterCudaOp kGatherShards{"gather_shards",
                                   {choose_gather, [](const CudaBinding&) -> Step { return [](Stream) {}; }}};

}  // namespace
}  // namespace athanor::cuda
