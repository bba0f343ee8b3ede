// A file that says "done". A launcher can report success for a job that never started its processes, so a batch script
// trusts a file that only a finished job makes, not the launcher's exit code.
#pragma once

namespace athanor {

/// The environment variable that names the file.
inline constexpr const char* kFinishedMarkerVariable = "ATHANOR_FINISHED_MARKER";

/// Makes the file, whole or not at all; without that variable, or where it is empty, does nothing. For rank 0, once all
/// is done. Throws StorageError where it cannot be made: the job then must not report success.
void leave_finished_marker();

}  // namespace athanor
