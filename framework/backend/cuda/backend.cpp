// NVIDIA's GPUs as a back end: one GPU a process, opened when first asked for.
#include "backend/backend.h"

#include <fmt/format.h>

#include <cstdlib>

#include "backend/choice_file.h"
#include "backend/cuda/engine_choice.h"
#include "backend/cuda/executable.h"
#include "backend/cuda/open_device.h"
#include "backend/cuda/planner.h"
#include "backend/cuda/roofline.h"
#include "base/error.h"

namespace athanor {
namespace {

/// Position among the ranks of this host, as launchers say it: known before ranks have met.
int local_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"}) {
    if (const char* text = std::getenv(name)) return std::atoi(text);
  }
  return 0;
}

/// What own kernels are compiled for, and bfloat16 and TF32 want.
constexpr int kLeastCapability = 80;

class CudaBackend final : public Backend {
 public:
  CudaBackend()
      : device_(cuda::open_device(cuda::ordinal_of(local_rank(), cuda::visible_devices()))),
        engines_(*device_, choice_cache_folder()) {
    const cuda::DeviceInfo& info = device_->info();
    if (info.capability >= kLeastCapability) return;
    throw DeviceError("{} has compute capability {}.{}, 8.0 is needed; use device=cpu", info.name, info.capability / 10,
                      info.capability % 10);
  }

  std::string_view name() const override { return "cuda"; }
  std::string versions() const override {
    const cuda::DeviceInfo& info = device_->info();
    return fmt::format("{}, CUDA {}, cuDNN {}, NCCL {}", info.name, info.runtime, info.cudnn, info.nccl);
  }
  /// All of them, on the GPUs that the constructor accepts.
  std::string precision_problem(std::string_view) const override { return ""; }
  std::optional<std::size_t> device_memory_bytes() const override { return device_->free_bytes(); }
  std::string device_place() const override { return device_->info().bus_id; }

  std::unique_ptr<BackendPlanner> planner(const PlannerOptions& options) const override {
    return std::make_unique<cuda::CudaPlanner>(
        engines_, cuda::Precision{.tf32 = options.precision == "tf32", .deterministic = options.deterministic});
  }
  std::optional<std::string> choices() const override { return engines_.text(); }
  void take_choices(const std::string& text) const override { engines_.take(text); }
  MemoryPlan plan_memory(const ExecutableOptions& options) const override { return cuda::plan_memory(options); }
  std::unique_ptr<Executable> make_executable(const ExecutableOptions& options) const override {
    return cuda::make_executable(options, *device_, engines_);
  }
  std::unique_ptr<Ceiling> make_ceiling(const Plan& plan, int, double) const override {
    return cuda::make_roofline(plan, *device_, engines_);
  }

 private:
  std::unique_ptr<cuda::Device> device_;
  mutable cuda::EngineChoice engines_;
};

}  // namespace

const Backend& cuda_backend() {
  static const CudaBackend backend;
  return backend;
}

bool has_cuda() {
  return cuda::has_device();
}

}  // namespace athanor
