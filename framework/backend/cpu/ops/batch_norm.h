// What the batch-norm ops of the CPU share.
#pragma once

#include <functional>

#include "backend/cpu/op.h"
#include "backend/node_settings.h"

namespace athanor::cpu {

/// A batch-norm kernel that follows the layout of x, the input `index`.
std::function<NodeChoice(const ChooseContext&)> choose_batch_norm(std::size_t index, const char* name);

}  // namespace athanor::cpu
