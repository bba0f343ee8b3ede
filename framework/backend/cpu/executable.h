// The CPU back end's executable. See backend/executable.h for what it does.
#pragma once

#include <memory>

#include "backend/executable.h"

namespace athanor::cpu {

/// Allocates every arena and binds every step. The plans must outlive the executable.
/// Throws DeviceError when there is no memory.
std::unique_ptr<Executable> make_executable(const ExecutableOptions& options);

/// What make_executable would allocate.
MemoryPlan plan_memory(const ExecutableOptions& options);

}  // namespace athanor::cpu
