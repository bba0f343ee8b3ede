// Small text files, whole: /proc and cgroup entries, recipes in run folders.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace athanor {

/// The contents; "" where the file cannot be read.
inline std::string read_text(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace athanor
