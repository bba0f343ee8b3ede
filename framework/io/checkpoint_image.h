// What follows a checkpoint's user block, as bytes in memory: HDF5 never touches the disk, so a full or failing disk
// cannot leave the library in a half-open state, and what it parses is exactly what was hashed.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "io/checkpoint_file.h"

namespace athanor {

/// The HDF5 file that belongs behind a 512-byte user block. Throws StorageError about `path` for names that the file
/// cannot hold, or when HDF5 fails (no memory).
std::vector<std::byte> encode_checkpoint_image(const CheckpointContents& contents, const std::string& path);

/// Parses what encode_checkpoint_image wrote; foreign structures throw StorageError about `path`. HDF5 copies the
/// image.
CheckpointContents decode_checkpoint_image(std::span<const std::byte> image, const std::string& path);

}  // namespace athanor
