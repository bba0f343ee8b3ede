#include "data/byte_reader.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "data/data_path.h"

namespace athanor {
namespace {

constexpr std::size_t kPackedBufferBytes = std::size_t{1} << 18;
/// The most that one byte of deflate can unpack to (zlib's technical notes), and slack for tiny files.
constexpr std::uint64_t kMaxDeflateRatio = 1032;
constexpr int kGzipWindowBits = 15 + 16;

bool is_file(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

}  // namespace

std::filesystem::path raw_or_packed(const std::filesystem::path& path) {
  if (is_file(path)) return path;
  std::filesystem::path packed = path;
  packed += ".gz";
  return packed;
}

ByteReader::ByteReader(std::string what, const std::filesystem::path& path) : what_(std::move(what)) {
  const std::filesystem::path found = raw_or_packed(path);
  if (!is_file(found)) {
    throw DataError("cannot read {}: {}: there is no such file, nor with .gz{}", what_, path.string(),
                    where_to_look(path.string()));
  }
  path_ = found.string();
  int ignored = 0;
  stamp_ = look_at_file(path_.c_str(), ignored).value_or(FileStamp{});
  file_.open(found, std::ios::binary);
  if (!file_) throw DataError("cannot read {}: {}: the file cannot be opened; may you read it?", what_, path_);
  file_bytes_ = std::filesystem::file_size(found);
  std::array<char, 2> magic{};
  file_.read(magic.data(), magic.size());
  gzip_ = file_.gcount() == 2 && magic[0] == '\x1f' && magic[1] == '\x8b';
  file_.clear();
  file_.seekg(0);
  if (!gzip_ && found.extension() == ".gz") fail(0, "the file is not gzip data: want it to begin with 1f 8b");
  if (gzip_) {
    packed_.resize(kPackedBufferBytes);
    ATHANOR_CHECK(inflateInit2(&stream_, kGzipWindowBits) == Z_OK);
  }
}

ByteReader::~ByteReader() {
  if (gzip_) inflateEnd(&stream_);
}

void ByteReader::fail(std::uint64_t offset, const std::string& message) const {
  throw DataError("cannot read {}: {}: offset {}: {}", what_, path_, offset, message);
}

void ByteReader::read(std::span<std::uint8_t> out) {
  const std::size_t got = read_some(out);
  if (got == out.size()) return;
  fail(offset_, fmt::format("the file is truncated: found {} bytes, want {}; fetch it again", offset_,
                            offset_ - got + out.size()));
}

std::uint32_t ByteReader::read_u32() {
  std::array<std::uint8_t, 4> b{};
  read(b);
  return std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
}

void ByteReader::expect_end() {
  const std::uint64_t end = offset_;
  std::array<std::uint8_t, 1> extra{};
  if (read_some(extra) == 0) return;
  fail(end, fmt::format("trailing bytes: want the end of the file here, found {}",
                        gzip_ ? "more data" : fmt::format("{} bytes more", file_bytes_ - end)));
}

void ByteReader::expect_room_for(std::uint64_t bytes) const {
  if (gzip_) {
    if (bytes / kMaxDeflateRatio <= file_bytes_) return;
    fail(offset_, fmt::format("the file is truncated: {} packed bytes cannot hold the {} that the header promises",
                              file_bytes_, bytes));
  }
  if (bytes <= file_bytes_ - offset_) return;
  fail(file_bytes_,
       fmt::format("the file is truncated: found {} bytes, want {}; fetch it again", file_bytes_, offset_ + bytes));
}

std::size_t ByteReader::read_some(std::span<std::uint8_t> out) {
  const std::size_t got = gzip_ ? read_gzip(out) : read_raw(out);
  hash_.add(out.first(got));
  offset_ += got;
  return got;
}

SourceFile ByteReader::source() const {
  return {.path = path_, .stamp = stamp_, .bytes = offset_, .content_hash = hash_.hex()};
}

std::size_t ByteReader::read_raw(std::span<std::uint8_t> out) {
  file_.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size()));
  if (file_.bad()) fail(offset_, "the disk reports a read error");
  return static_cast<std::size_t>(file_.gcount());
}

void ByteReader::refill() {
  if (stream_.avail_in > 0) return;
  file_.read(reinterpret_cast<char*>(packed_.data()), static_cast<std::streamsize>(packed_.size()));
  if (file_.bad()) fail(offset_, "the disk reports a read error");
  stream_.next_in = packed_.data();
  stream_.avail_in = static_cast<uInt>(file_.gcount());
  packed_read_ += stream_.avail_in;
}

std::size_t ByteReader::read_gzip(std::span<std::uint8_t> out) {
  std::size_t got = 0;
  while (got < out.size()) {
    refill();
    const std::uint64_t packed_offset = packed_read_ - stream_.avail_in;
    if (member_ended_) {
      if (stream_.avail_in == 0) break;
      // gzip allows several members one after another; anything else behind a member is damage.
      if (*stream_.next_in != 0x1f) {
        fail(offset_ + got,
             fmt::format("trailing bytes: want the end of the file at packed offset {}, found {} bytes more",
                         packed_offset, file_bytes_ - packed_offset));
      }
      inflateReset(&stream_);
      member_ended_ = false;
    }
    if (stream_.avail_in == 0) {
      fail(offset_ + got,
           fmt::format("the gzip data are truncated: the file ends at packed offset {} within the stream; "
                       "fetch it again",
                       packed_offset));
    }
    const std::size_t chunk = std::min<std::size_t>(out.size() - got, std::size_t{1} << 30);
    stream_.next_out = out.data() + got;
    stream_.avail_out = static_cast<uInt>(chunk);
    const int status = inflate(&stream_, Z_NO_FLUSH);
    got += chunk - stream_.avail_out;
    if (status == Z_STREAM_END) {
      member_ended_ = true;
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      fail(offset_ + got, fmt::format("the gzip data are damaged at packed offset {}: {}; fetch the file again",
                                      packed_read_ - stream_.avail_in, stream_.msg ? stream_.msg : "no reason given"));
    }
  }
  return got;
}

SourceFile read_source_file(std::string what, const std::filesystem::path& path) {
  ByteReader reader(std::move(what), path);
  std::vector<std::uint8_t> bytes(kPackedBufferBytes);
  while (reader.read_some(bytes) > 0) {
  }
  return reader.source();
}

}  // namespace athanor
