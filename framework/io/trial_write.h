// Finds out before step 0 whether a folder will take checkpoints.
#pragma once

#include <cstdint>
#include <filesystem>

namespace athanor {

/// Makes a folder and those above it, so that they are there after a power loss as well. Throws StorageError.
void make_folder_durably(const std::filesystem::path& folder);

/// Throws StorageError, with both numbers, where the disk has less than `bytes` free.
void want_free_space(const std::filesystem::path& folder, std::uint64_t bytes);

/// Does once what every checkpoint needs: write, sync, rename, sync the folder, remove. Throws StorageError.
void try_writing(const std::filesystem::path& folder);

}  // namespace athanor
