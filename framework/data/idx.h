// The IDX format of MNIST and its relatives (yann.lecun.com/exdb/mnist, "File formats"): a big-endian magic 0x08DD
// (unsigned bytes, DD dimensions), the dimensions, the bytes. Raw or gzip.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "data/source_file.h"

namespace athanor {

struct IdxImages {
  std::int64_t count = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::vector<std::uint8_t> pixels;  ///< [count, height, width]
  SourceFile source;
};

struct IdxLabels {
  std::vector<std::uint8_t> labels;
  SourceFile source;
};

/// Reads an images file (magic 0x0803); `path` may lack its ".gz". Throws DataError naming file, offset, what was found
/// and what is wanted: wrong magic, sizes out of bounds, truncated, damaged gzip, trailing bytes.
IdxImages read_idx_images(const std::filesystem::path& path);

/// Reads a labels file (magic 0x0801), every label below `classes`. Throws DataError likewise.
IdxLabels read_idx_labels(const std::filesystem::path& path, int classes);

/// The count that a labels file's header states, without reading the rest; 0 where there is no such file.
std::int64_t peek_idx_count(const std::filesystem::path& path);

}  // namespace athanor
