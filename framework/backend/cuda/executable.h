// A plan that runs on a GPU.
#pragma once

#include <memory>

#include "backend/cuda/device.h"
#include "backend/cuda/engine_choice.h"
#include "backend/executable.h"

namespace athanor::cuda {

/// What the executable allocates on the device.
MemoryPlan plan_memory(const ExecutableOptions& options);

/// `device` and `engines` must outlive the executable. Collective. Throws DeviceError where there is no memory or
/// something that the back end does not do yet is asked for, PeerError.
std::unique_ptr<Executable> make_executable(const ExecutableOptions& options, Device& device, EngineChoice& engines);

}  // namespace athanor::cuda
