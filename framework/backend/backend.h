// A kind of device: what answers the planning passes, and what turns their plan into an Executable. The trainer names
// none of them. What a device's libraries lack is said when it is first asked for, with what to install.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "backend/ceiling.h"
#include "backend/executable.h"
#include "base/dtype.h"
#include "graph/planner.h"

namespace athanor {

/// What a recipe asks of a device's arithmetic, and the threads that share a shard on a CPU.
struct PlannerOptions {
  int threads = 1;
  std::string_view precision = "fp32";  ///< train.precision
  bool deterministic = true;            ///< only algorithms that give the same bits every time
  bool measures = true;                 ///< false: for a plan whose size alone counts, unknown choices are guessed
  bool winograd = true;  ///< cpu: convolutions may be computed by Winograd's algorithm where that is faster
};

/// The type of activations and of what matrix products read: "fp32" and "tf32" f32, "bf16" bf16, "fp16" f16.
DType compute_type(std::string_view precision);

/// One object a process, used by every run. What it holds between them is what it measured.
class Backend {
 public:
  virtual ~Backend() = default;
  /// As summary.json says it: "cpu", "cuda".
  virtual std::string_view name() const = 0;
  /// The libraries that it computes with: "oneDNN 2.6.3".
  virtual std::string versions() const = 0;
  /// Why the device cannot compute in a recipe's train.precision ("this processor has no …"), and what works; "" when
  /// it can.
  virtual std::string precision_problem(std::string_view precision) const = 0;
  /// Bytes of the device's own memory that are free; none: it works in the host's.
  virtual std::optional<std::size_t> device_memory_bytes() const = 0;
  /// Which device of its host that is (its address on the bus), so that two ranks on one are noticed; "": the host.
  virtual std::string device_place() const { return ""; }

  /// Chooses layouts and implementations.
  virtual std::unique_ptr<BackendPlanner> planner(const PlannerOptions& options) const = 0;
  /// What planners chose by measuring, as text whose first line says where it was measured: with the same choices any
  /// rank and any later attempt makes the same plan. None: a back end whose rules need no measurement.
  virtual std::optional<std::string> choices() const { return std::nullopt; }
  /// Planners use these from here on, where they would else measure; but for choices made elsewhere.
  virtual void take_choices(const std::string&) const {}
  /// What make_executable would allocate.
  virtual MemoryPlan plan_memory(const ExecutableOptions& options) const = 0;
  /// Allocates every arena and binds every step. The plans must outlive the executable. Throws DeviceError when there
  /// is no memory.
  virtual std::unique_ptr<Executable> make_executable(const ExecutableOptions& options) const = 0;
  /// Finds the fastest implementation of each product of `plan` on `lanes` shards side by side, in about `trial_s`
  /// seconds in all. `plan` must outlive the ceiling. nullptr where a back end has no choice to try. Throws DeviceError
  /// when there is no memory.
  virtual std::unique_ptr<Ceiling> make_ceiling(const Plan& plan, int lanes, double trial_s) const = 0;
};

/// The back end of a recipe's `device`: auto, cpu or cuda. Throws DeviceError, with what to install, where it is not
/// there; `auto` takes what is.
const Backend& backend_for(std::string_view device);

const Backend& cpu_backend();
/// Throws DeviceError where this build or this machine has no CUDA.
const Backend& cuda_backend();
/// Whether cuda_backend() would be of use here: built in, with a device that answers. Never throws.
bool has_cuda();

}  // namespace athanor
