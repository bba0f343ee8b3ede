// An exclusive lock on a file, which the kernel drops when its holder ends in whatever way. The file says who holds it.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace athanor {

/// What becomes of a lock that another process has.
struct LockPatience {
  double most_s = 0;               ///< how long to wait for it, less where its holder lives on this host; 0: not at all
  std::function<bool()> gives_up;  ///< asked while it waits; empty: never
  std::function<void(const std::string&)> tell;  ///< once, that it waits and for whom
};

class FileLock {
 public:
  /// Makes `file` if need be, locks it and writes "pid N on HOST" into it. Throws StorageError naming the holder where
  /// another process (or another FileLock of this one) has it for longer than one is patient, or why the file cannot be
  /// written.
  explicit FileLock(const std::filesystem::path& file, const LockPatience& patience = {});
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

 private:
  int descriptor_ = -1;
};

}  // namespace athanor
