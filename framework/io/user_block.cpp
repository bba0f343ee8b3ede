#include "io/user_block.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "io/damaged_checkpoint.h"

namespace athanor {
namespace {

constexpr std::string_view kMagic = "ATHANOR\x1a";
constexpr std::string_view kHdf5Magic = "\x89HDF\r\n\x1a\n";
constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kReservedAt = 12;
constexpr std::size_t kBytesAt = 16;
constexpr std::size_t kHashAt = 24;
constexpr std::size_t kPaddingAt = 40;

template <typename Number>
void put(std::span<std::byte> at, Number number) {
  for (std::size_t i = 0; i < sizeof number; ++i) at[i] = static_cast<std::byte>(number >> (8 * i));
}

template <typename Number>
Number get(std::span<const std::byte> at) {
  Number number = 0;
  for (std::size_t i = 0; i < sizeof number; ++i) number |= static_cast<Number>(at[i]) << (8 * i);
  return number;
}

bool begins_with(std::span<const std::byte> bytes, std::string_view text) {
  return bytes.size() >= text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}

bool all_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace

struct ContentHasher::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

ContentHasher::ContentHasher() : state_(std::make_unique<State>()) {
  XXH3_128bits_reset(state_->xxh);
}
ContentHasher::~ContentHasher() = default;

void ContentHasher::add(std::span<const std::byte> bytes) {
  XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
}

ContentHash ContentHasher::result() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state_->xxh));
  ContentHash hash;
  static_assert(sizeof canonical == sizeof hash);
  std::memcpy(hash.data(), &canonical, sizeof hash);
  return hash;
}

UserBlockBytes encode_user_block(const UserBlock& block) {
  UserBlockBytes bytes{};
  const std::span<std::byte> all(bytes);
  std::memcpy(all.data(), kMagic.data(), kMagic.size());
  put(all.subspan(kVersionAt), block.version);
  put(all.subspan(kBytesAt), block.bytes);
  std::copy(block.hash.begin(), block.hash.end(), all.begin() + kHashAt);
  return bytes;
}

UserBlock decode_user_block(std::span<const std::byte> block, std::uint64_t file_bytes, const std::string& path) {
  if (!begins_with(block, kMagic)) {
    throw DamagedCheckpoint("cannot read checkpoint: {}: {}; name a file that `athanor train` has written", path,
                            file_bytes == 0 ? "the file is empty"
                            : begins_with(block, kHdf5Magic)
                                ? "this HDF5 file was not written by Athanor"
                                : "this is not an Athanor checkpoint, or its head is damaged");
  }
  if (block.size() < kUserBlockBytes) {
    throw DamagedCheckpoint(
        "cannot read checkpoint: {}: truncated: {} bytes, want more than {}; use an older checkpoint", path, file_bytes,
        kUserBlockBytes);
  }
  const auto version = get<std::uint32_t>(block.subspan(kVersionAt));
  if (version > kCheckpointFormat) {
    throw StorageError(
        "cannot read checkpoint: {}: format version is {}, this program reads up to {}; use the newer "
        "Athanor that wrote it",
        path, version, kCheckpointFormat);
  }
  if (version == 0 || get<std::uint32_t>(block.subspan(kReservedAt)) != 0 || !all_zero(block.subspan(kPaddingAt))) {
    throw DamagedCheckpoint("cannot read checkpoint: {}: the file's head is damaged; use an older checkpoint", path);
  }
  UserBlock result;
  result.version = version;
  result.bytes = get<std::uint64_t>(block.subspan(kBytesAt));
  std::copy_n(block.begin() + kHashAt, result.hash.size(), result.hash.begin());
  if (result.bytes != file_bytes - kUserBlockBytes) {
    throw DamagedCheckpoint(
        "cannot read checkpoint: {}: {}: {} bytes follow the head, want {}; use an older checkpoint", path,
        result.bytes > file_bytes - kUserBlockBytes ? "truncated" : "wrong length", file_bytes - kUserBlockBytes,
        result.bytes);
  }
  return result;
}

}  // namespace athanor
