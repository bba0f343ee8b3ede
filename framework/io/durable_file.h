// A file that is there whole or not at all, whatever stops the program or the machine meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
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

/// A new file beside its final place, removed again unless it was published. Every call throws StorageError
/// ("cannot write checkpoint: PATH: …").
class DurableFile {
 public:
  explicit DurableFile(const std::filesystem::path& final_path);
  ~DurableFile();
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;

  /// Where it is until published: ".NAME.PID-N.tmp" in the same folder.
  const std::filesystem::path& path() const { return path_; }

  /// Writes behind what is there, and has the kernel begin to bring it to the disk, so that syncing is short.
  void append(std::span<const std::byte> bytes);
  void overwrite(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Everything is on the disk, and nothing can be written any more.
  void sync_and_close();
  /// Renames it to its final place and syncs the folder.
  void publish();

 private:
  int create();
  void write_back();

  std::filesystem::path final_;
  std::filesystem::path path_;
  FileDescriptor file_;
  std::uint64_t end_ = 0;
  std::uint64_t written_back_ = 0;
  bool published_ = false;
};

/// Makes the names in `folder` as durable as the files are. Throws StorageError about `what`.
void sync_folder(const std::filesystem::path& folder, const std::filesystem::path& what);

/// A regular file opened for reading from front to back. Throws StorageError ("cannot read checkpoint: PATH: …").
class SequentialFile {
 public:
  explicit SequentialFile(const std::filesystem::path& path);
  std::uint64_t bytes() const { return bytes_; }
  const std::string& path() const { return path_; }
  /// Asks the kernel to forget its copy of the file's clean pages, so that the next reads come from the device.
  void drop_cache();
  /// Fills `out`, less at the end of the file; returns how many bytes. Throws DamagedCheckpoint where the device fails.
  std::size_t read(std::span<std::byte> out);

 private:
  std::string path_;
  FileDescriptor file_;
  std::uint64_t bytes_ = 0;
};

}  // namespace athanor
