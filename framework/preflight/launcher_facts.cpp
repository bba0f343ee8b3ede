#include "preflight/launcher_facts.h"

#include <fmt/format.h>

#include <cstdlib>

#include "train/units_text.h"

namespace athanor {
namespace {

int number_of(const char* value) {
  return value == nullptr ? 0 : std::atoi(value);
}

/// "PMIx 4.2.2"; empty where it did not start this process.
std::string pmix_text(const Environment& environment) {
  if (environment("PMIX_RANK") == nullptr) return "";
  const char* version = environment("PMIX_VERSION");
  return version == nullptr ? "PMIx" : fmt::format("PMIx {}", version);
}

}  // namespace

Finding judge_launcher(const Environment& environment, int ranks) {
  const std::string pmix = pmix_text(environment);
  const char* job = environment("SLURM_JOB_ID");
  const std::string in_job = job == nullptr ? "" : fmt::format(" in Slurm job {}", job);
  if (environment("OMPI_COMM_WORLD_SIZE") != nullptr) {
    return {fmt::format("mpirun{}, {}, {}", in_job, plural(ranks, "rank"), pmix.empty() ? "without PMIx" : pmix)};
  }
  const int meant = number_of(environment("SLURM_NTASKS"));
  if (!pmix.empty()) return {fmt::format("srun{}, {}, {}", in_job, plural(ranks, "rank"), pmix)};
  if (environment("PMI_RANK") != nullptr) {
    return {fmt::format("a launcher with PMI but not PMIx, which Open MPI may not find its ranks through{}: `srun "
                        "--mpi=pmix`",
                        in_job),
            CheckStatus::warning};
  }
  if (meant > ranks) {
    return {fmt::format("none{}, whose {} it was meant to be: `srun --mpi=pmix athanor check …`", in_job,
                        plural(meant, "task")),
            CheckStatus::warning};
  }
  return {fmt::format("none{}: a process alone; `mpirun -np N` or `srun --mpi=pmix` in front for more", in_job)};
}

}  // namespace athanor
