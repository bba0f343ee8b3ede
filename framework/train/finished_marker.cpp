#include "train/finished_marker.h"

#include <cstdlib>

#include "base/atomic_file.h"
#include "base/error.h"

namespace athanor {

void leave_finished_marker() {
  const char* path = std::getenv(kFinishedMarkerVariable);
  if (path == nullptr || *path == '\0') return;
  try {
    write_atomically(path, "finished\n");
  } catch (const StorageError& error) {
    throw StorageError("the work is done, but {} names a file that cannot be made: {}", kFinishedMarkerVariable,
                       error.what());
  }
}

}  // namespace athanor
