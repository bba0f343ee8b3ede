// What follows a checkpoint's user block. Writing: HDF5 lays the file out and writes everything but the tensors into
// memory; whoever writes the file fills them in. Reading: what HDF5 parses is exactly what was hashed. Internal to io/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/checkpoint_file.h"
#include "io/sparse_bytes.h"

namespace athanor {

/// A whole file, user block included, with holes where the tensors lie.
struct CheckpointLayout {
  struct Place {
    std::uint64_t offset = 0;  ///< in the file
    const TensorSource* tensor = nullptr;
  };
  std::uint64_t file_bytes = 0;
  std::vector<Place> tensors;  ///< in the order of the file, none overlapping
  SparseBytes others;          ///< everything else, at its offset in the file
};

/// Takes no more memory than the file's headers and texts. Throws StorageError about `path` for names that the file
/// cannot hold, or when HDF5 fails (no memory).
CheckpointLayout lay_out_checkpoint(const CheckpointSources& sources, const std::string& path);

/// Parses what follows the user block of a file of this format version; foreign structures throw DamagedCheckpoint
/// about `path`.
CheckpointContents decode_checkpoint_image(std::span<const std::byte> image, std::uint32_t version,
                                           const std::string& path);

}  // namespace athanor
