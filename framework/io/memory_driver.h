// HDF5 files that exist in our memory alone, without a copy: what HDF5 writes (headers, names, texts) lands in sparse
// pages, so that a file can be laid out for tensors that no memory is spent on; what it reads comes from bytes that
// were verified before. A full or failing disk can so never leave the library in a half-open state. Internal to io/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "io/hdf5_handle.h"
#include "io/sparse_bytes.h"

namespace athanor {

/// A file under construction: valid once the HDF5 file was closed.
struct MemoryTarget {
  SparseBytes bytes;
  std::uint64_t size = 0;
};

/// A file access list whose files are `target`, which must outlive them. Negative when HDF5 fails.
Hdf5Handle access_to(MemoryTarget& target);
/// The same, read-only, for a file that is there.
Hdf5Handle access_to(std::span<const std::byte> image);

}  // namespace athanor
