#include "data/source_file.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <cerrno>

#include "base/error.h"
#include "data/byte_reader.h"

namespace athanor {
namespace {

/// What to do about a file that is not what it was.
constexpr const char* kAdvice =
    "put back what the run began with, on this host, and start it again: it goes on from its last checkpoint";

[[noreturn]] void fail(const SourceFile& file, const std::string& change) {
  throw DataError("data changed while the run uses them: {} {}; {}", file.path, change, kAdvice);
}

/// Returns the stamp of a file that was only touched or packed again; none where it cannot be read just now.
std::optional<FileStamp> want_same_content(const SourceFile& file, const FileStamp& now) {
  const bool is_packed = file.stamp.bytes != file.bytes;
  if (!is_packed && now.bytes != file.stamp.bytes) {
    fail(file, fmt::format("{}: it had {} bytes, and has {}", now.bytes < file.stamp.bytes ? "was truncated" : "grew",
                           file.stamp.bytes, now.bytes));
  }
  SourceFile again;
  try {
    again = read_source_file("data", file.path);
  } catch (const DataError& error) {
    // A file that cannot be opened may be one that is being replaced at this moment: the next look tells.
    int reason = 0;
    if (look_at_file(file.path.c_str(), reason) != now) return std::nullopt;
    fail(file, fmt::format("was damaged ({})", error.what()));
  }
  if (again.content_hash != file.content_hash || again.bytes != file.bytes) {
    fail(file, fmt::format("was replaced: its content has hash {}, and had {}", again.content_hash, file.content_hash));
  }
  return again.stamp;
}

}  // namespace

std::optional<FileStamp> look_at_file(const char* path, int& error) {
  struct stat found {};
  error = ::stat(path, &found) == 0 ? 0 : errno;
  if (error != 0) return std::nullopt;
  return FileStamp{.bytes = static_cast<std::uint64_t>(found.st_size),
                   .modified_ns = std::int64_t{found.st_mtim.tv_sec} * 1'000'000'000 + found.st_mtim.tv_nsec,
                   .device = found.st_dev,
                   .inode = found.st_ino};
}

struct FileHash::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

FileHash::FileHash() : state_(std::make_unique<State>()) {
  XXH3_128bits_reset(state_->xxh);
}
FileHash::~FileHash() = default;

void FileHash::add(std::span<const std::uint8_t> bytes) {
  XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
}

std::string FileHash::hex() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->xxh);
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::string SourceFile::name() const {
  const std::filesystem::path file = std::filesystem::path(path).filename();
  return file.extension() == ".gz" ? file.stem().string() : file.string();
}

std::vector<SourceFile> SourceFiles::list() const {
  const std::lock_guard lock(mutex_);
  return files_;
}

void SourceFiles::want_unchanged() const {
  const std::lock_guard lock(looking_);
  for (std::size_t i = 0; i < files_.size(); ++i) look_at(i);
}

void SourceFiles::look_at(std::size_t index) const {
  const SourceFile& file = files_[index];
  int error = 0;
  const std::optional<FileStamp> now = look_at_file(file.path.c_str(), error);
  const bool is_missed = error == ENOENT || error == ENOTDIR;
  const bool was_missed = was_missed_[index];
  was_missed_[index] = is_missed;
  if (is_missed && was_missed) fail(file, "is gone");
  if (!now || *now == file.stamp) return;
  if (const std::optional<FileStamp> stamp = want_same_content(file, *now)) {
    const std::lock_guard lock(mutex_);
    files_[index].stamp = *stamp;
  }
}

}  // namespace athanor
