// Which ranks a launcher started together, from what it left in the environment.
#include <cstdlib>
#include <string>

#include "comm/communicator.h"
#include "comm/mpi_communicator.h"

namespace athanor {
namespace {

int number_in(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? 0 : std::atoi(value);
}

/// Processes of one step that do not know each other would all train the same and fight over the run folder.
[[noreturn]] void refuse_singletons(const char* variable) {
  throw UsageError(
      "{} is {}, but the processes do not find each other: start them with `srun --mpi=pmix`, or with the "
      "mpirun of the MPI that this program is linked to",
      variable, number_in(variable));
}

}  // namespace

bool was_launched() {
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    if (std::getenv(variable) != nullptr) return true;
  }
  return false;
}

std::unique_ptr<Communicator> make_communicator() {
  if (!was_launched()) {
    if (number_in("SLURM_STEP_NUM_TASKS") > 1) refuse_singletons("SLURM_STEP_NUM_TASKS");
    return make_self_communicator();
  }
  std::unique_ptr<Communicator> world = make_mpi_communicator();
  if (world->size() > 1) return world;
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    if (number_in(variable) > 1) refuse_singletons(variable);
  }
  const bool from_mpirun = std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr;
  if (!from_mpirun && number_in("SLURM_STEP_NUM_TASKS") > 1) refuse_singletons("SLURM_STEP_NUM_TASKS");
  return world;
}

}  // namespace athanor
