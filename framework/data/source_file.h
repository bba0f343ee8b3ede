// The files that a data set was read from, as they were then. A data set in memory goes on without them, but the run
// could not be started again: that they are gone, cut short or others is noticed while it runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace athanor {

/// What the file system says of a file without reading it.
struct FileStamp {
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;

  bool operator==(const FileStamp&) const = default;
};

/// Of `path`; none where it cannot be looked at, `error` (errno) then says why. Allocates nothing.
std::optional<FileStamp> look_at_file(const char* path, int& error);

/// XXH3-128 of bytes that come in pieces; how they are cut does not matter.
class FileHash {
 public:
  FileHash();
  ~FileHash();
  void add(std::span<const std::uint8_t> bytes);
  /// 32 hexadecimal digits, of what was added so far.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct SourceFile {
  std::string path;          ///< as it was found, with ".gz" where it has that
  FileStamp stamp;           ///< from just before it was opened
  std::uint64_t bytes = 0;   ///< of the content, unpacked
  std::string content_hash;  ///< of the same

  /// The name without folder and ".gz": equal content has equal names, however it is packed.
  std::string name() const;
};

class SourceFiles {
 public:
  explicit SourceFiles(std::vector<SourceFile> files) : files_(std::move(files)), was_missed_(files_.size()) {}

  /// As they were read. Waits for nobody who looks at them.
  std::vector<SourceFile> list() const;
  /// Throws DataError naming the file that is gone, has another size, or has other content than it had. Gone is what
  /// two looks in a row did not find: a file that is being swapped for a copy, or mounted again, is back by then. A
  /// file that was only touched, copied or packed again is read once more and passes. One that cannot be looked at just
  /// now (a network file system in trouble) passes too; where the file system hangs, so does this. Allocates nothing
  /// where nothing has changed; from any thread.
  void want_unchanged() const;

 private:
  void look_at(std::size_t index) const;

  mutable std::mutex looking_;  ///< one looks at a time; guards what the one below does not
  mutable std::mutex mutex_;    ///< to change files_, or to read it without looking_
  mutable std::vector<SourceFile> files_;
  mutable std::vector<bool> was_missed_;  ///< by the look before
};

}  // namespace athanor
