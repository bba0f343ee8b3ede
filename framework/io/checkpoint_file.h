// The file that training continues from: an ordinary HDF5 file behind a 512-byte user block (io/user_block.h) that
// finds damage before HDF5 parses anything. h5dump, h5ls and h5py read it as it is.
//
//   /                         attributes step, epoch, samples (int64)
//   /parameters/NAME          float32, little-endian, logical order (OIHW); so do statistics, average and optimizer
//   /statistics/NAME          running means and variances
//   /average/NAME             averaged weights
//   /optimizer/SLOT/NAME      what the optimizer keeps of each parameter
//   /numbers, /reals          attributes (int64, float64): state of schedule, counters, seeds
//   /recipe                   the resolved recipe, a string
//   /about/KEY                strings: versions, hardware, the plan's fingerprint
//
// A reader ignores groups it does not know, so that later programs may add some. Version 1 of the format had neither
// optimizer nor numbers and reals; it is still read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/shape.h"

namespace athanor {

/// Everything in a checkpoint that is no tensor. Doubles keep their bits, infinities and NaN included.
struct CheckpointMeta {
  std::string recipe_text;
  std::int64_t step = 0;
  std::int64_t epoch = 0;
  std::int64_t samples = 0;
  std::map<std::string, std::int64_t> numbers;
  std::map<std::string, double> reals;
  std::map<std::string, std::string> attributes;
};

/// Values in logical (OIHW) order. Group and name together are unique in a file; no name may hold '/' or NUL.
struct CheckpointTensor {
  std::string group;  ///< "parameters", "statistics", "average" or "optimizer/SLOT"
  std::string name;   ///< at most 1,024 bytes
  Shape shape;
  std::vector<float> values;
};

/// What reading gives: tensors sorted by group as above (slots by name), then by name.
struct CheckpointContents : CheckpointMeta {
  std::vector<CheckpointTensor> tensors;
};

/// A tensor to be written. `read` fills shape.elements() values in logical order; it is called once, by the thread
/// that writes, when the tensor's turn comes.
struct TensorSource {
  std::string group, name;
  Shape shape;
  std::function<void(std::span<float> values)> read;
};

struct CheckpointSources {
  CheckpointMeta meta;
  std::vector<TensorSource> tensors;
};

struct WrittenCheckpoint {
  std::uint64_t bytes = 0;
  double write_s = 0;   ///< from the start until renamed and the folder synced, less verify_s
  double verify_s = 0;  ///< reading back from the device
};

/// Writes `path`, whole or not at all: to a temporary file in the same folder (".NAME.PID-N.tmp"), front to back in
/// blocks of at most 4 MB or one tensor, synced, read back from the device and compared, renamed, the folder synced. A
/// file that stood at `path` stays until then. Equal contents give equal bytes, in whatever order tensors are listed.
/// Throws StorageError where the folder is missing, the disk is full or does not keep what it was given, and what
/// `read` throws.
WrittenCheckpoint write_checkpoint(const std::filesystem::path& path, const CheckpointSources& sources);
/// The same from values in memory.
WrittenCheckpoint write_checkpoint(const std::filesystem::path& path, const CheckpointContents& contents);

/// Memory that write_checkpoint takes for its blocks, where the largest tensor has `largest_bytes`.
std::size_t checkpoint_buffer_bytes(std::size_t largest_bytes);

/// Verifies magic, format version, length and hash, then parses. Throws StorageError, naming the file, what is wrong
/// and what to do, for a file that is missing or newer, and DamagedCheckpoint (io/damaged_checkpoint.h) for one that is
/// foreign, truncated, damaged, or that holds what no checkpoint holds (links elsewhere, filters, tensors larger than
/// the file). A file of more than `largest` bytes is a StorageError before any memory is taken for it: a run knows how
/// much its own may hold.
CheckpointContents read_checkpoint(const std::filesystem::path& path,
                                   std::uint64_t largest = std::numeric_limits<std::uint64_t>::max());

/// The verification alone, with 4 MB of memory. Returns the file's size; throws as read_checkpoint does.
std::uint64_t verify_checkpoint(const std::filesystem::path& path);

}  // namespace athanor
