// Element types and operations of collectives as MPI knows them; the 16-bit floats, which it does not know, as
// operations of our own. Internal to comm/.
#pragma once

#include <mpi.h>

#include "base/dtype.h"
#include "comm/communicator.h"

namespace athanor {

struct MpiReduction {
  MPI_Datatype type;
  MPI_Op op;
};

/// Operations that MPI has to be told about, from MPI_Init to MPI_Finalize.
class MpiOperations {
 public:
  MpiOperations();
  void release();
  MpiReduction of(DType type, ReduceOp op) const;

 private:
  MPI_Op bf16_[3] = {};  // by ReduceOp
  MPI_Op f16_[3] = {};
};

}  // namespace athanor
