// gather_shards of a batch of one shard. Where there are more, the executable moves the values between the shards'
// steps.
#include <cstring>

#include "backend/cpu/ops/support.h"
#include "base/error.h"

namespace athanor::cpu {
namespace {

Step prepare_gather(const Binding& b) {
  const std::size_t bytes = BackendPlanner::dense_bytes(b.input_value(0));
  return [bytes, shards = b.node.attributes.integer("shards"), x = b.input<void>(0), y = b.output<void>(0)] {
    ATHANOR_CHECK(shards == 1, "a shard of {} was run on its own", shards);
    std::memcpy(y, x, bytes);
  };
}

const RegisterCpuOp kGatherShards{"gather_shards", {choose_plain, prepare_gather}};

}  // namespace
}  // namespace athanor::cpu
