// Takes metrics.jsonl back to a step that a run goes on from.
#pragma once

#include <cstdint>
#include <filesystem>

namespace athanor {

/// Drops the lines of later steps than `step`, and what is no whole line, and makes that last. A file that is not there
/// stays away. Throws StorageError.
void cut_metrics(const std::filesystem::path& file, std::int64_t step);

}  // namespace athanor
