// The ceiling of a step on the CPU: the fastest that oneDNN has for each product, found by trying.
#pragma once

#include <memory>

#include "backend/ceiling.h"
#include "graph/plan.h"

namespace athanor::cpu {

/// Finds the fastest of each product of `plan` on `lanes` teams side by side, in about `trial_s` seconds in all. `plan`
/// must outlive the ceiling. Throws DeviceError when there is no memory.
std::unique_ptr<Ceiling> make_ceiling(const Plan& plan, int lanes, double trial_s);

}  // namespace athanor::cpu
