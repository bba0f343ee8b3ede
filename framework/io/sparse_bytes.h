// Bytes by offset, of which only the pages that were written take memory; all others read as 0. Internal to io/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>

namespace athanor {

class SparseBytes {
 public:
  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  void read(std::uint64_t offset, std::span<std::byte> bytes) const;

 private:
  static constexpr std::size_t kPageBytes = 4096;
  using Page = std::array<std::byte, kPageBytes>;
  std::map<std::uint64_t, std::unique_ptr<Page>> pages_;  // by offset / kPageBytes
};

}  // namespace athanor
