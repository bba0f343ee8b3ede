// gather_shards of a shard that runs on its own: as if all shards of the batch were like it, which for a batch of one
// is what it says. Where shards run together, ShardMeeting moves their values instead of this step.
#include <cstring>

#include "backend/cpu/ops/support.h"

namespace athanor::cpu {
namespace {

Step prepare_gather(const Binding& b) {
  const std::size_t bytes = BackendPlanner::dense_bytes(b.input_value(0));
  const auto shards = static_cast<std::size_t>(b.node.attributes.integer("shards"));
  return [bytes, shards, x = b.input<void>(0), y = b.output<std::byte>(0)] {
    for (std::size_t shard = 0; shard < shards; ++shard) std::memcpy(y + shard * bytes, x, bytes);
  };
}

const RegisterCpuOp kGatherShards{"gather_shards", {choose_plain, prepare_gather}};

}  // namespace
}  // namespace athanor::cpu
