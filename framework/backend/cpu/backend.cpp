// The CPU as a back end: oneDNN and our own kernels.
#include "backend/backend.h"

#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.h>

#include "backend/choice_file.h"
#include "backend/cpu/ceiling.h"
#include "backend/cpu/convolution_choices.h"
#include "backend/cpu/executable.h"
#include "backend/cpu/onednn.h"
#include "backend/cpu/planner.h"
#include "kernels/isa.h"

namespace athanor {
namespace {

class CpuBackend final : public Backend {
 public:
  std::string_view name() const override { return "cpu"; }
  std::string versions() const override {
    const dnnl_version_t* version = dnnl_version();
    return fmt::format("oneDNN {}.{}.{}", version->major, version->minor, version->patch);
  }
  std::string precision_problem(std::string_view precision) const override {
    if (precision == "fp32") return "";
    if (precision != "bf16") {
      return fmt::format("a CPU does not compute in {}; use device=cuda, or train.precision={}", precision,
                         kernels::has_native_bf16() ? "fp32 or bf16" : "fp32");
    }
    return kernels::has_native_bf16() ? ""
                                      : "this processor has no native bf16 (AVX512-BF16); use train.precision=fp32";
  }
  std::optional<std::size_t> device_memory_bytes() const override { return std::nullopt; }
  std::unique_ptr<BackendPlanner> planner(const PlannerOptions& options) const override {
    cpu::limit_onednn_isa();
    return std::make_unique<cpu::CpuPlanner>(options.threads, options.winograd ? &convolutions_ : nullptr,
                                             options.measures);
  }
  std::optional<std::string> choices() const override { return convolutions_.text(); }
  void take_choices(const std::string& text) const override { convolutions_.take(text); }
  MemoryPlan plan_memory(const ExecutableOptions& options) const override { return cpu::plan_memory(options); }
  std::unique_ptr<Executable> make_executable(const ExecutableOptions& options) const override {
    return cpu::make_executable(options);
  }
  std::unique_ptr<Ceiling> make_ceiling(const Plan& plan, int lanes, double trial_s) const override {
    return cpu::make_ceiling(plan, lanes, trial_s);
  }

 private:
  mutable cpu::ConvolutionChoices convolutions_{choice_cache_folder()};
};

}  // namespace

const Backend& cpu_backend() {
  static const CpuBackend backend;
  return backend;
}

}  // namespace athanor
