#include "io/sparse_bytes.h"

#include <algorithm>
#include <cstring>

namespace athanor {
namespace {

/// Calls `visit(page, place in the page, the part of `bytes` that lies there)`, page after page.
template <typename Byte, typename Visit>
void for_each_page(std::uint64_t offset, std::span<Byte> bytes, std::size_t page_bytes, Visit&& visit) {
  while (!bytes.empty()) {
    const std::size_t place = offset % page_bytes;
    const std::size_t count = std::min(bytes.size(), page_bytes - place);
    visit(offset / page_bytes, place, bytes.first(count));
    offset += count;
    bytes = bytes.subspan(count);
  }
}

}  // namespace

void SparseBytes::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  for_each_page(offset, bytes, kPageBytes, [&](std::uint64_t number, std::size_t place, auto part) {
    std::unique_ptr<Page>& page = pages_[number];
    if (page == nullptr) page = std::make_unique<Page>();
    std::memcpy(page->data() + place, part.data(), part.size());
  });
}

void SparseBytes::read(std::uint64_t offset, std::span<std::byte> bytes) const {
  for_each_page(offset, bytes, kPageBytes, [&](std::uint64_t number, std::size_t place, auto part) {
    const auto page = pages_.find(number);
    if (page == pages_.end())
      std::memset(part.data(), 0, part.size());
    else
      std::memcpy(part.data(), page->second->data() + place, part.size());
  });
}

}  // namespace athanor
