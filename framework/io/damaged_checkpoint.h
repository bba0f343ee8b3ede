// The failure that says: these bytes will never be a good checkpoint, whoever reads them and whenever. A file that may
// not be read, is missing or is a newer program's is a plain StorageError: nothing is wrong with it.
#pragma once

#include "base/error.h"

namespace athanor {

class DamagedCheckpoint : public StorageError {
 public:
  using StorageError::StorageError;
};

}  // namespace athanor
