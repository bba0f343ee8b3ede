// A file that is there whole or not at all, whatever stops the program or the machine meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

namespace athanor {

/// Never more than this much in one call to the kernel or to HDF5.
constexpr std::size_t kSlabBytes = std::size_t{4} << 20;

/// A file descriptor that closes itself.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor();
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }
  /// Closes now; false, with errno set, where the file system only then says that a write was lost.
  bool close();

 private:
  int fd_;
};

/// Writes `pieces`, one after the other, to a temporary file beside `path`, syncs it, calls `verify` with its name,
/// renames it to `path` and syncs the folder. Throws StorageError, or what `verify` throws; the temporary file is then
/// gone and `path` as it was.
void write_durably(const std::filesystem::path& path, std::span<const std::span<const std::byte>> pieces,
                   const std::function<void(const std::filesystem::path&)>& verify);

/// A regular file opened for reading from front to back. Throws StorageError ("cannot read checkpoint: PATH: …").
class SequentialFile {
 public:
  explicit SequentialFile(const std::filesystem::path& path);
  std::uint64_t bytes() const { return bytes_; }
  const std::string& path() const { return path_; }
  /// Asks the kernel to forget its copy of the file's clean pages, so that the next reads come from the device.
  void drop_cache();
  /// Fills `out`, less at the end of the file; returns how many bytes.
  std::size_t read(std::span<std::byte> out);

 private:
  std::string path_;
  FileDescriptor file_;
  std::uint64_t bytes_ = 0;
};

}  // namespace athanor
