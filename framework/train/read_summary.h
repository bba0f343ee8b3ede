// Reads back what a finished run left in summary.json.
#pragma once

#include <filesystem>

#include "train/summary.h"

namespace athanor {

/// Keys that are null or absent keep their defaults. Throws StorageError for a file that is missing or not JSON.
Summary read_summary(const std::filesystem::path& run_folder);

}  // namespace athanor
