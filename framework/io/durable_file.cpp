#include "io/durable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "io/damaged_checkpoint.h"

namespace athanor {
namespace {

[[noreturn]] void fail_writing(const std::filesystem::path& path, const char* call, int error) {
  const char* advice = error == ENOSPC || error == EDQUOT ? "free some space, or write to another disk"
                       : error == ENOENT                  ? "create the folder first, or name another"
                                                          : "may you write there, and is the disk healthy?";
  throw StorageError("cannot write checkpoint: {}: {}: {}; {}", path.string(), call, std::strerror(error), advice);
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

constexpr std::uint64_t kPageBytes = 4096;

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

bool FileDescriptor::close() {
  return ::close(std::exchange(fd_, -1)) == 0;
}

DurableFile::DurableFile(const std::filesystem::path& final_path) : final_(final_path), file_(create()) {}

DurableFile::~DurableFile() {
  if (!published_) unlink(path_.c_str());
}

int DurableFile::create() {
  static std::atomic<unsigned> counter{0};
  while (true) {
    path_ = folder_of(final_) / fmt::format(".{}.{}-{}.tmp", final_.filename().string(), getpid(), counter++);
    const int fd = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) return fd;
    // A leftover of a dead process that had our number, perhaps on another host.
    if (errno != EEXIST && errno != EINTR) fail_writing(final_, "open", errno);
  }
}

void DurableFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::span<const std::byte> slab = bytes.first(std::min(bytes.size(), kSlabBytes));
    overwrite(end_, slab);
    end_ += slab.size();
    write_back();
    bytes = bytes.subspan(slab.size());
  }
}

void DurableFile::overwrite(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail_writing(final_, "write", written < 0 ? errno : EIO);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
}

/// Whole pages only: the last one is still being filled. A hint, whose failure means nothing: what counts is fsync.
void DurableFile::write_back() {
  const std::uint64_t end = end_ / kPageBytes * kPageBytes;
  if (end - written_back_ < kSlabBytes / 2) return;
  sync_file_range(file_.get(), static_cast<off_t>(written_back_), static_cast<off_t>(end - written_back_),
                  SYNC_FILE_RANGE_WRITE);
  written_back_ = end;
}

void DurableFile::sync_and_close() {
  if (fsync(file_.get()) != 0) fail_writing(final_, "fsync", errno);
  if (!file_.close()) fail_writing(final_, "close", errno);
}

void DurableFile::publish() {
  if (::rename(path_.c_str(), final_.c_str()) != 0) fail_writing(final_, "rename", errno);
  published_ = true;
  sync_folder(folder_of(final_), final_);
}

void sync_folder(const std::filesystem::path& folder, const std::filesystem::path& what) {
  const FileDescriptor open_folder(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (open_folder.get() < 0) fail_writing(what, "open the folder", errno);
  // Some network file systems keep names safe by themselves and answer EINVAL.
  if (fsync(open_folder.get()) != 0 && errno != EINVAL) fail_writing(what, "fsync the folder", errno);
}

SequentialFile::SequentialFile(const std::filesystem::path& path)
    // Without O_NONBLOCK a pipe by that name would wait for its writer.
    : path_(path.string()), file_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (file_.get() < 0) {
    throw StorageError("cannot read checkpoint: {}: {}; {}", path_, std::strerror(errno),
                       errno == ENOENT ? "is the name right?" : "may you read it?");
  }
  struct stat status {};
  if (fstat(file_.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    throw StorageError("cannot read checkpoint: {}: this is not a regular file; name a checkpoint's .h5 file", path_);
  }
  bytes_ = static_cast<std::uint64_t>(status.st_size);
}

void SequentialFile::drop_cache() {
  posix_fadvise(file_.get(), 0, 0, POSIX_FADV_DONTNEED);
}

std::size_t SequentialFile::read(std::span<std::byte> out) {
  std::size_t got = 0;
  while (got < out.size()) {
    const ssize_t count = ::read(file_.get(), out.data() + got, std::min(out.size() - got, kSlabBytes));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      // The bytes may be good: whoever asks again may get them.
      throw StorageError("cannot read checkpoint: {}: {}; is the disk healthy? use an older checkpoint", path_,
                         std::strerror(errno));
    }
    if (count == 0) break;
    got += static_cast<std::size_t>(count);
  }
  return got;
}

}  // namespace athanor
