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

/// A new file beside its final place, removed again unless it was renamed.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::filesystem::path& final) : final_(final), file_(create()) {}
  ~TemporaryFile() {
    if (!renamed_) unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::filesystem::path& path() const { return path_; }

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(file_.get(), bytes.data(), std::min(bytes.size(), kSlabBytes));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) fail_writing(final_, "write", written < 0 ? errno : EIO);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }

  void sync_and_close() {
    if (fsync(file_.get()) != 0) fail_writing(final_, "fsync", errno);
    if (!file_.close()) fail_writing(final_, "close", errno);
  }

  void rename() {
    if (::rename(path_.c_str(), final_.c_str()) != 0) fail_writing(final_, "rename", errno);
    renamed_ = true;
  }

 private:
  int create() {
    static std::atomic<unsigned> counter{0};
    while (true) {
      path_ = folder_of(final_) / fmt::format(".{}.{}-{}.tmp", final_.filename().string(), getpid(), counter++);
      const int fd = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd >= 0) return fd;
      // A leftover of a dead process that had our number, perhaps on another host.
      if (errno != EEXIST && errno != EINTR) fail_writing(final_, "open", errno);
    }
  }

  std::filesystem::path final_;
  std::filesystem::path path_;
  FileDescriptor file_;
  bool renamed_ = false;
};

void sync_folder(const std::filesystem::path& path) {
  const FileDescriptor folder(open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) fail_writing(path, "open the folder", errno);
  // Some network file systems keep names safe by themselves and answer EINVAL.
  if (fsync(folder.get()) != 0 && errno != EINVAL) fail_writing(path, "fsync the folder", errno);
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

bool FileDescriptor::close() {
  return ::close(std::exchange(fd_, -1)) == 0;
}

void write_durably(const std::filesystem::path& path, std::span<const std::span<const std::byte>> pieces,
                   const std::function<void(const std::filesystem::path&)>& verify) {
  TemporaryFile file(path);
  for (const std::span<const std::byte> piece : pieces) file.write(piece);
  file.sync_and_close();
  verify(file.path());
  file.rename();
  sync_folder(path);
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
      throw StorageError("cannot read checkpoint: {}: {}; is the disk healthy? use an older checkpoint", path_,
                         std::strerror(errno));
    }
    if (count == 0) break;
    got += static_cast<std::size_t>(count);
  }
  return got;
}

}  // namespace athanor
