// The shortest time that a plan could take on this GPU, as measured on it: each step at the rate of what bounds it,
// arithmetic or memory.
#pragma once

#include <memory>

#include "backend/ceiling.h"
#include "backend/cuda/engine_choice.h"
#include "graph/plan.h"

namespace athanor::cuda {

/// What the GPU reaches.
struct MeasuredRates {
  double flops_per_s = 0;  ///< of a matrix product of 8,192³ on random numbers, in the plan's type
  double bytes_per_s = 0;  ///< of a large copy, bytes read plus bytes written
};
/// Takes about half a second and 2 GB for a moment. Throws DeviceError.
MeasuredRates measure_rates(Device& device, EngineChoice& engines, DType type, bool tf32);

/// Bytes that a step of the plan reads and writes, each value once, and the FLOPs of its products.
struct StepWork {
  double flops = 0;
  double bytes = 0;
};
StepWork work_of(const Plan& plan, const PlannedStep& step);

/// Σ over the plan's steps, all shards, of max(FLOP ÷ rate, bytes ÷ rate), and the update. `slots`: optimizer state
/// arenas.
double roofline_s(const Plan& plan, const MeasuredRates& rates, std::size_t slots);

/// run() measures the rates again and returns the roofline's seconds; there are no products to list.
std::unique_ptr<Ceiling> make_roofline(const Plan& plan, Device& device, EngineChoice& engines);

}  // namespace athanor::cuda
