#include "backend/ceiling.h"

#include "graph/op.h"

namespace athanor {

bool is_product(const Node& node) {
  return node.op->name.starts_with("conv2d") || node.op->name.starts_with("linear");
}

}  // namespace athanor
