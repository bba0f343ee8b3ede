// Reads a file from front to back, unpacking gzip on the way, and says exactly where it went wrong.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "data/source_file.h"

namespace athanor {

/// `path`, or `path` + ".gz" where there is no such file.
std::filesystem::path raw_or_packed(const std::filesystem::path& path);

/// Offsets in its messages count unpacked bytes, unless they say "packed".
class ByteReader {
 public:
  /// Opens `path`, or `path` + ".gz" where only that exists; a file that begins with gzip's magic is unpacked whatever
  /// its name. `what` begins the messages ("labels": "cannot read labels: …"). Throws DataError where there is no file.
  ByteReader(std::string what, const std::filesystem::path& path);
  ~ByteReader();
  ByteReader(const ByteReader&) = delete;
  ByteReader& operator=(const ByteReader&) = delete;

  /// Fills what there is of `out`; 0 at the end of the file. Throws DataError where its gzip data are damaged.
  std::size_t read_some(std::span<std::uint8_t> out);
  /// Fills `out`. Throws DataError where the file ends early or its gzip data are damaged.
  void read(std::span<std::uint8_t> out);
  /// A big-endian 32-bit number.
  std::uint32_t read_u32();
  /// Throws DataError if anything follows, or if the gzip checksum is wrong.
  void expect_end();

  /// Throws DataError unless `bytes` more can still come out of the file: exact for a raw file; for gzip by the bound
  /// that deflate packs at most 1,032 to 1. Ask before allocating what a header promises.
  void expect_room_for(std::uint64_t bytes) const;

  /// Unpacked bytes delivered so far.
  std::uint64_t offset() const { return offset_; }
  const std::string& path() const { return path_; }
  /// What was read, once it was read to its end.
  SourceFile source() const;
  /// Throws DataError: "cannot read WHAT: PATH: offset OFFSET: MESSAGE".
  [[noreturn]] void fail(std::uint64_t offset, const std::string& message) const;

 private:
  std::size_t read_raw(std::span<std::uint8_t> out);
  std::size_t read_gzip(std::span<std::uint8_t> out);
  void refill();

  std::string what_;
  std::string path_;
  std::ifstream file_;
  FileStamp stamp_;
  FileHash hash_;
  std::uint64_t file_bytes_ = 0;
  std::uint64_t offset_ = 0;
  bool gzip_ = false;
  bool member_ended_ = false;
  z_stream stream_{};
  std::uint64_t packed_read_ = 0;
  std::vector<std::uint8_t> packed_;
};

/// Reads a file from end to end for its hash. Throws DataError as ByteReader does.
SourceFile read_source_file(std::string what, const std::filesystem::path& path);

}  // namespace athanor
