// The first 512 bytes of a checkpoint. HDF5 skips them (a "user block"); here they say what follows, so that damage is
// found before a parser sees it. Numbers are little-endian:
//
//    0  8 bytes   "ATHANOR" and 0x1a
//    8  uint32    format version
//   12  uint32    0
//   16  uint64    how many bytes follow the block
//   24  16 bytes  XXH3-128 of those, high half first, as xxhsum prints it
//   40  …         0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace athanor {

constexpr std::size_t kUserBlockBytes = 512;
constexpr std::uint32_t kCheckpointFormat = 2;

using UserBlockBytes = std::array<std::byte, kUserBlockBytes>;
using ContentHash = std::array<std::byte, 16>;

struct UserBlock {
  std::uint32_t version = kCheckpointFormat;
  std::uint64_t bytes = 0;  ///< how many follow the block
  ContentHash hash{};
};

/// XXH3-128 over data that come in pieces.
class ContentHasher {
 public:
  ContentHasher();
  ~ContentHasher();
  ContentHasher(const ContentHasher&) = delete;
  ContentHasher& operator=(const ContentHasher&) = delete;
  void add(std::span<const std::byte> bytes);
  ContentHash result() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

UserBlockBytes encode_user_block(const UserBlock& block);

/// `block`: the file's first bytes, at most 512. `file_bytes`: its size. Throws StorageError about `path` unless they
/// are a checkpoint's of this format or an older one and this length: DamagedCheckpoint, unless it is a newer format.
UserBlock decode_user_block(std::span<const std::byte> block, std::uint64_t file_bytes, const std::string& path);

}  // namespace athanor
