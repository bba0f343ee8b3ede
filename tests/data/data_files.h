// Small damaged and whole files for the tests of the readers, each test in a folder of its own.
#pragma once

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "support/temporary_folder.h"

namespace athanor::test {

using testing::TemporaryFolder;
using Bytes = std::vector<std::uint8_t>;

inline void write_file(const std::filesystem::path& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

inline Bytes gzipped(const Bytes& bytes) {
  Bytes packed(bytes.size() + 1024);
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = packed.data();
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

inline void append_u32(Bytes& bytes, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(value >> shift));
}

/// An IDX file: magic, extents, payload.
inline Bytes idx_file(std::uint32_t magic, std::initializer_list<std::uint32_t> extents, const Bytes& payload) {
  Bytes bytes;
  append_u32(bytes, magic);
  for (const std::uint32_t extent : extents) append_u32(bytes, extent);
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

/// `count` bytes that differ from their neighbours.
inline Bytes pattern(std::size_t count) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(i * 37 + i / 251);
  return bytes;
}

/// Runs `call`, which must throw a DataError (exit 3), and returns its message.
template <typename Call>
std::string data_error_of(Call&& call) {
  try {
    call();
  } catch (const DataError& error) {
    EXPECT_EQ(error.code(), ExitCode::data);
    return error.what();
  }
  ADD_FAILURE() << "no DataError";
  return "";
}

/// The folder of real data sets, if there is one here: ATHANOR_DATA, or ../shared/data beside the checkout.
inline std::optional<std::filesystem::path> real_data(const std::string& folder) {
  const char* set = std::getenv("ATHANOR_DATA");
  const std::filesystem::path root =
      set != nullptr && *set != 0 ? set : std::filesystem::path(ATHANOR_SOURCE_DIR) / "../shared/data";
  if (!std::filesystem::is_directory(root / folder)) return std::nullopt;
  return root / folder;
}

}  // namespace athanor::test
