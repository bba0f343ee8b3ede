// An exclusive lock on a file, which the kernel drops when its holder ends in whatever way. The file says who holds it.
#pragma once

#include <filesystem>

namespace athanor {

class FileLock {
 public:
  /// Makes `file` if need be, locks it and writes "pid N on HOST" into it. Throws StorageError naming the holder where
  /// another process (or another FileLock of this one) has it, or why the file cannot be written.
  explicit FileLock(const std::filesystem::path& file);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

 private:
  int descriptor_ = -1;
};

}  // namespace athanor
