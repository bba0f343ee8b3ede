// State on a GPU lies in the device's layouts; files and users see it in logical order.
#pragma once

#include <span>

#include "base/shape.h"
#include "graph/planner.h"

namespace athanor::cuda {

/// A float32 tensor in `layout` (plain or ohwi) to row-major order of `shape` [O, I, KH, KW]; plain is copied.
void to_logical(const Shape& shape, const Layout& layout, const float* held, std::span<float> logical);
/// The way back.
void from_logical(const Shape& shape, const Layout& layout, std::span<const float> logical, float* held);

}  // namespace athanor::cuda
