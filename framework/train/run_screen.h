// Fills the first screen from what a run resolved to.
#pragma once

#include "train/screen.h"
#include "train/session.h"

namespace athanor {

/// FLOPs of one image: forward nodes, and forward and backward nodes together.
struct FlopsPerImage {
  double forward = 0;
  double step = 0;
};
FlopsPerImage flops_per_image(const Plan& plan, std::int64_t rows);

FirstScreen make_screen(const Recipe& recipe, const RunData& data, const Sizing& sizing, const Plans& plans,
                        const MemoryPlan& memory, const Hardware& hardware, const Communicator& communicator);

}  // namespace athanor
