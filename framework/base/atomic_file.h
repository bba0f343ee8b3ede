// A small file that is there whole or not at all, also after a crash.
#pragma once

#include <filesystem>
#include <string_view>

namespace athanor {

/// Writes to a temporary file beside `path`, syncs it, renames it over `path` and syncs the folder. Throws
/// StorageError, leaving what was there.
void write_atomically(const std::filesystem::path& path, std::string_view text);

}  // namespace athanor
