#include "io/checkpoint_file.h"

#include <array>

#include "base/error.h"
#include "io/checkpoint_image.h"
#include "io/durable_file.h"
#include "io/user_block.h"

namespace athanor {
namespace {

[[noreturn]] void fail_damaged(const std::string& path, const char* what) {
  throw StorageError("cannot read checkpoint: {}: {}; use an older checkpoint, or copy the file again", path, what);
}

UserBlock read_user_block(SequentialFile& file) {
  UserBlockBytes block{};
  const std::size_t got = file.read(block);
  return decode_user_block(std::span(block).first(got), file.bytes(), file.path());
}

void check_hash(const SequentialFile& file, const ContentHash& found, const ContentHash& want) {
  if (found != want) fail_damaged(file.path(), "damaged: its bytes do not have the hash that its head states");
}

/// Reads the rest of the file through a small buffer and compares its hash; returns the head.
UserBlock verify(SequentialFile& file) {
  const UserBlock block = read_user_block(file);
  std::vector<std::byte> slab(kSlabBytes);
  ContentHasher hasher;
  std::uint64_t bytes = 0;
  while (const std::size_t got = file.read(slab)) {
    hasher.add(std::span(slab).first(got));
    bytes += got;
  }
  if (bytes != block.bytes) fail_damaged(file.path(), "its length changed while it was read");
  check_hash(file, hasher.result(), block.hash);
  return block;
}

/// The file system may have taken the bytes and lost them: only what comes back from the device counts as written.
void check_read_back(const std::filesystem::path& written, const std::filesystem::path& path, const UserBlock& block) {
  std::string reason = "its hash differs";
  try {
    SequentialFile file(written);
    file.drop_cache();
    if (verify(file).hash == block.hash) return;
  } catch (const StorageError& error) {
    reason = error.what();
  }
  throw StorageError(
      "cannot write checkpoint: {}: the disk does not give back what it was given ({}); write to another",
      path.string(), reason);
}

}  // namespace

void write_checkpoint(const std::filesystem::path& path, const CheckpointContents& contents) {
  const std::vector<std::byte> image = encode_checkpoint_image(contents, path.string());
  ContentHasher hasher;
  hasher.add(image);
  const UserBlock block{image.size(), hasher.result()};
  const UserBlockBytes head = encode_user_block(block);
  const std::array<std::span<const std::byte>, 2> pieces = {head, image};
  write_durably(path, pieces, [&](const std::filesystem::path& written) { check_read_back(written, path, block); });
}

void verify_checkpoint(const std::filesystem::path& path) {
  SequentialFile file(path);
  verify(file);
}

CheckpointContents read_checkpoint(const std::filesystem::path& path) {
  SequentialFile file(path);
  const UserBlock block = read_user_block(file);
  std::vector<std::byte> image(block.bytes);
  if (file.read(image) != image.size()) fail_damaged(file.path(), "its length changed while it was read");
  ContentHasher hasher;
  hasher.add(image);
  check_hash(file, hasher.result(), block.hash);
  return decode_checkpoint_image(image, file.path());
}

}  // namespace athanor
