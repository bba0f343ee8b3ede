#include "io/checkpoint_file.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "base/error.h"
#include "io/checkpoint_image.h"
#include "io/damaged_checkpoint.h"
#include "io/durable_file.h"
#include "io/user_block.h"
#include "io/write_behind.h"

namespace athanor {
namespace {

constexpr std::size_t kHashedAtOnce = std::size_t{1} << 19;

[[noreturn]] void fail_damaged(const std::string& path, const char* what) {
  throw DamagedCheckpoint("cannot read checkpoint: {}: {}; use an older checkpoint, or copy the file again", path,
                          what);
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
  std::vector<std::byte> slab(kHashedAtOnce);
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

/// Collects what belongs into the file, front to back, in blocks of memory that the largest tensor fits into, and
/// hashes and passes them on where they are full.
class Stream {
 public:
  Stream(DurableFile& file, std::size_t largest) : behind_(file, checkpoint_buffer_bytes(largest) / 2) {}

  /// The next `bytes` of the file, to be filled before the next call; at most the largest. Aligned for floats.
  std::span<std::byte> next(std::size_t bytes) {
    if (bytes > behind_.block().size() - filled_ || filled_ % alignof(float) != 0) flush();
    const std::span<std::byte> part = behind_.block().subspan(filled_, bytes);
    filled_ += bytes;
    return part;
  }

  ContentHash finish() {
    flush();
    behind_.finish();
    return hasher_.result();
  }

 private:
  void flush() {
    if (filled_ == 0) return;
    hasher_.add(behind_.block().first(filled_));
    behind_.pass_on(filled_);
    filled_ = 0;
  }

  WriteBehind behind_;
  std::size_t filled_ = 0;
  ContentHasher hasher_;
};

std::size_t bytes_of(const Shape& shape) {
  return static_cast<std::size_t>(shape.elements()) * sizeof(float);
}

/// Writes everything but the head, for which it leaves room. The head of it is the result.
UserBlock write_content(DurableFile& file, const CheckpointLayout& layout) {
  file.append(UserBlockBytes{});
  std::size_t largest = 0;
  for (const CheckpointLayout::Place& place : layout.tensors)
    largest = std::max(largest, bytes_of(place.tensor->shape));
  Stream stream(file, largest);
  std::uint64_t at = kUserBlockBytes;
  const auto write_others = [&](std::uint64_t end) {
    while (at < end) {
      const std::size_t bytes = std::min<std::uint64_t>(end - at, kSlabBytes);
      layout.others.read(at, stream.next(bytes));
      at += bytes;
    }
  };
  for (const CheckpointLayout::Place& place : layout.tensors) {
    write_others(place.offset);
    const std::span<std::byte> part = stream.next(bytes_of(place.tensor->shape));
    place.tensor->read({reinterpret_cast<float*>(part.data()), part.size() / sizeof(float)});
    at += part.size();
  }
  write_others(layout.file_bytes);
  return {.bytes = layout.file_bytes - kUserBlockBytes, .hash = stream.finish()};
}

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double>(end - start).count();
}

}  // namespace

std::size_t checkpoint_buffer_bytes(std::size_t largest_bytes) {
  // One block is filled while the other is written.
  return 2 * std::max(kSlabBytes, largest_bytes);
}

WrittenCheckpoint write_checkpoint(const std::filesystem::path& path, const CheckpointSources& sources) {
  const Clock::time_point start = Clock::now();
  const CheckpointLayout layout = lay_out_checkpoint(sources, path.string());
  DurableFile file(path);
  const UserBlock block = write_content(file, layout);
  file.overwrite(0, encode_user_block(block));
  file.sync_and_close();
  const Clock::time_point synced = Clock::now();
  check_read_back(file.path(), path, block);
  const Clock::time_point verified = Clock::now();
  file.publish();
  return {.bytes = layout.file_bytes,
          .write_s = seconds_between(start, synced) + seconds_between(verified, Clock::now()),
          .verify_s = seconds_between(synced, verified)};
}

WrittenCheckpoint write_checkpoint(const std::filesystem::path& path, const CheckpointContents& contents) {
  CheckpointSources sources{.meta = contents, .tensors = {}};
  for (const CheckpointTensor& tensor : contents.tensors) {
    ATHANOR_CHECK(tensor.shape.elements() == static_cast<std::int64_t>(tensor.values.size()), "{}: {} values for {}",
                  tensor.name, tensor.values.size(), tensor.shape.text());
    sources.tensors.push_back({tensor.group, tensor.name, tensor.shape, [&tensor](std::span<float> values) {
                                 std::copy(tensor.values.begin(), tensor.values.end(), values.begin());
                               }});
  }
  return write_checkpoint(path, sources);
}

std::uint64_t verify_checkpoint(const std::filesystem::path& path) {
  SequentialFile file(path);
  verify(file);
  return file.bytes();
}

CheckpointContents read_checkpoint(const std::filesystem::path& path, std::uint64_t largest) {
  SequentialFile file(path);
  if (file.bytes() > largest) {
    throw StorageError("cannot read checkpoint: {}: {} bytes, this run's are at most {}; is it of another network?",
                       file.path(), file.bytes(), largest);
  }
  const UserBlock block = read_user_block(file);
  const std::unique_ptr<std::byte[]> memory(new std::byte[block.bytes]);  // not set to 0 first
  const std::span<std::byte> image(memory.get(), block.bytes);
  ContentHasher hasher;
  // Hashed while still in the processor's caches.
  for (std::size_t at = 0; at < image.size(); at += kHashedAtOnce) {
    const std::span<std::byte> part = image.subspan(at, std::min(kHashedAtOnce, image.size() - at));
    if (file.read(part) != part.size()) fail_damaged(file.path(), "its length changed while it was read");
    hasher.add(part);
  }
  check_hash(file, hasher.result(), block.hash);
  return decode_checkpoint_image(image, block.version, file.path());
}

}  // namespace athanor
