#include "data/idx.h"

#include "base/error.h"
#include "data/byte_reader.h"

namespace athanor {
namespace {

constexpr std::uint32_t kLabelsMagic = 0x0801;
constexpr std::uint32_t kImagesMagic = 0x0803;
constexpr std::uint32_t kMaxSide = 4096;

const char* kind_of(std::uint32_t magic) {
  if (magic == kLabelsMagic) return "labels";
  if (magic == kImagesMagic) return "images";
  return "neither labels nor images";
}

void expect_magic(ByteReader& reader, std::uint32_t wanted) {
  const std::uint32_t magic = reader.read_u32();
  if (magic == wanted) return;
  const bool swapped = magic == kLabelsMagic || magic == kImagesMagic;
  reader.fail(0, fmt::format("magic is 0x{:04x} ({}), want 0x{:04x} ({}); is it {}?", magic, kind_of(magic), wanted,
                             kind_of(wanted), swapped ? fmt::format("the {} file", kind_of(magic)) : "an IDX file"));
}

std::uint32_t read_side(ByteReader& reader, const char* name) {
  const std::uint64_t at = reader.offset();
  const std::uint32_t side = reader.read_u32();
  if (side == 0 || side > kMaxSide) reader.fail(at, fmt::format("{} is {}, want 1 to {}", name, side, kMaxSide));
  return side;
}

}  // namespace

IdxImages read_idx_images(const std::filesystem::path& path) {
  ByteReader reader("images", path);
  expect_magic(reader, kImagesMagic);
  IdxImages images;
  images.count = reader.read_u32();
  images.height = read_side(reader, "height");
  images.width = read_side(reader, "width");
  const auto bytes = static_cast<std::uint64_t>(images.count * images.height * images.width);
  reader.expect_room_for(bytes);
  images.pixels.resize(bytes);
  reader.read(images.pixels);
  reader.expect_end();
  images.source = reader.source();
  return images;
}

IdxLabels read_idx_labels(const std::filesystem::path& path, int classes) {
  ByteReader reader("labels", path);
  expect_magic(reader, kLabelsMagic);
  const std::uint32_t count = reader.read_u32();
  reader.expect_room_for(count);
  const std::uint64_t begin = reader.offset();
  std::vector<std::uint8_t> labels(count);
  reader.read(labels);
  reader.expect_end();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= classes) {
      reader.fail(begin + i,
                  fmt::format("label {} of sample {} is out of range, want 0 to {}", labels[i], i, classes - 1));
    }
  }
  return {std::move(labels), reader.source()};
}

std::int64_t peek_idx_count(const std::filesystem::path& path) {
  if (!std::filesystem::exists(raw_or_packed(path))) return 0;
  ByteReader reader("labels", path);
  expect_magic(reader, kLabelsMagic);
  const std::uint32_t count = reader.read_u32();
  reader.expect_room_for(count);
  return count;
}

}  // namespace athanor
