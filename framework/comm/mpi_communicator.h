// The ranks that mpirun or srun started, over MPI. Everything is posted without blocking and waited for in one place,
// which knows the deadline and looks whether the peers live: MPI 3 itself would wait for a dead one for ever.
#pragma once

#include <memory>

#include "comm/communicator.h"

namespace athanor {

/// All ranks of the job. Starts MPI; the last group of them to go ends it. Throws as make_communicator.
std::unique_ptr<Communicator> make_mpi_communicator();

/// MPI_Allreduce itself, which knows no deadline, as what benchmarks measure against. False where `communicator` is not
/// MPI's.
bool mpi_blocking_all_reduce(Communicator& communicator, float* data, std::size_t count);

}  // namespace athanor
