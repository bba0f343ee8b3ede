// What a checkpoint of a recipe costs: how long training stands still for it, how fast it reaches the disk, how fast it
// comes back. Each beside the plainest way to do the same, in turns, so that a machine that drifts drifts for both.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "train/recipe.h"

namespace athanor {

struct CheckpointBenchmarkOptions {
  std::filesystem::path folder = ".";  ///< on the disk to measure; a folder is made in it, and removed
  int rounds = 9;
};

/// Medians of one thing and of its yardstick, in seconds.
struct MeasuredPair {
  double ours = 0;
  double plain = 0;
};

struct CheckpointBenchmark {
  std::string recipe;
  std::string folder;
  int rounds = 0;
  std::int64_t tensors = 0;
  std::uint64_t state_bytes = 0;  ///< copied by a capture
  std::uint64_t file_bytes = 0;
  MeasuredPair stall;   ///< Executable::capture; memcpy of as many bytes
  MeasuredPair write;   ///< until renamed and synced, without reading back; write and fsync of as many bytes in 4 MB
  MeasuredPair verify;  ///< reading back before the rename; read of as many bytes
  MeasuredPair read;    ///< read_checkpoint; read of as many bytes; both with the page cache dropped
};

/// Throws what planning a run throws, and StorageError.
CheckpointBenchmark run_checkpoint_benchmark(Recipe recipe, const CheckpointBenchmarkOptions& options);

/// One JSON object in one line. Times in milliseconds.
std::string to_json(const CheckpointBenchmark& benchmark);
/// The same for people.
void print_checkpoint_benchmark(std::FILE* out, const CheckpointBenchmark& benchmark);

}  // namespace athanor
