// The file of a trained network: an ordinary HDF5 file behind a 512-byte user block (io/user_block.h) that finds damage
// before HDF5 parses anything. h5dump, h5ls and h5py read it as it is.
//
//   /                       attributes step, epoch, samples (int64)
//   /parameters/NAME        float32, little-endian, logical order (OIHW); so do statistics and average
//   /statistics/NAME        running means and variances
//   /average/NAME           averaged weights
//   /recipe                 the resolved recipe, a string
//   /about/KEY              strings: versions, hardware, the plan's fingerprint
//
// A reader ignores groups it does not know, so that later programs may add some.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/shape.h"

namespace athanor {

/// Values in logical (OIHW) order. Group and name together are unique in a file; neither may hold '/' or NUL.
struct CheckpointTensor {
  std::string group;  ///< "parameters", "statistics" or "average"
  std::string name;   ///< at most 1,024 bytes
  Shape shape;
  std::vector<float> values;
};

struct CheckpointContents {
  std::vector<CheckpointTensor> tensors;  ///< read back sorted by group as above, then by name
  std::string recipe_text;
  std::int64_t step = 0;
  std::int64_t epoch = 0;
  std::int64_t samples = 0;
  std::map<std::string, std::string> attributes;
};

/// Writes `contents` to `path`, whole or not at all: to a temporary file in the same folder (".NAME.PID-N.tmp"),
/// synced, read back from the device and compared, renamed, the folder synced. A file that stood at `path` stays until
/// then. Equal contents give equal bytes. Takes about twice the tensors' bytes of memory meanwhile. Throws StorageError
/// where the folder is missing, the disk is full or does not keep what it was given.
void write_checkpoint(const std::filesystem::path& path, const CheckpointContents& contents);

/// Verifies magic, format version, length and hash, then parses. Throws StorageError, naming the file, what is wrong
/// and what to do, for a file that is missing, foreign, newer, truncated, damaged, or that holds what no checkpoint
/// holds (links elsewhere, filters, tensors larger than the file).
CheckpointContents read_checkpoint(const std::filesystem::path& path);

/// The verification alone, with 4 MB of memory. Throws as read_checkpoint does.
void verify_checkpoint(const std::filesystem::path& path);

}  // namespace athanor
