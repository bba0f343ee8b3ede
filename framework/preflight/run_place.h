// The place where a run will write, tried out: whether the other hosts see it, and how fast it is. What is written for
// that is removed again, whatever happens.
#pragma once

#include <cstdint>
#include <filesystem>

#include "comm/communicator.h"
#include "preflight/finding.h"

namespace athanor {

/// The part of `path` that exists: the folder that it will be made in, or itself.
std::filesystem::path existing_part(std::filesystem::path path);

/// Rank 0 writes a word of chance into a file in `folder` (the one it names counts), and every host's first rank looks
/// for it there. Warns where a host does not see it, and says what that means. Collective. Throws PeerError.
Finding check_shared(Communicator& communicator, const std::filesystem::path& folder);

struct DiskSpeed {
  std::uint64_t bytes = 0;
  double seconds = 0;  ///< until they were on the disk
  double bytes_per_s() const { return static_cast<double>(bytes) / seconds; }
};

/// Writes up to `bytes` in `folder`, for about `seconds`, and syncs them. Throws StorageError.
DiskSpeed measure_disk(const std::filesystem::path& folder, std::uint64_t bytes, double seconds);

/// What that means for checkpoints of `checkpoint_bytes` (0: not known). Warns where one would take over a minute.
Finding judge_disk(const std::filesystem::path& folder, const DiskSpeed& speed, std::uint64_t checkpoint_bytes);

}  // namespace athanor
