#include "backend/cpu/arena.h"

#include <sys/mman.h>

#include <cstring>
#include <utility>

#include "base/error.h"

namespace athanor::cpu {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kSmallPage = 4096;

std::size_t rounded(std::size_t bytes) {
  return (bytes + kHugePage - 1) / kHugePage * kHugePage;
}

}  // namespace

ArenaMemory::ArenaMemory(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  void* mapped = mmap(nullptr, rounded(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) {
    throw DeviceError("cannot allocate {} bytes: {}; use a smaller batch", bytes, std::strerror(errno));
  }
  madvise(mapped, rounded(bytes), MADV_HUGEPAGE);
  data_ = static_cast<std::byte*>(mapped);
}

ArenaMemory::~ArenaMemory() {
  if (data_ != nullptr) munmap(data_, rounded(bytes_));
}

ArenaMemory::ArenaMemory(ArenaMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

ArenaMemory& ArenaMemory::operator=(ArenaMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void ArenaMemory::touch() {
  // What is mapped is zero already: a write to each page is enough, where pages are small too.
  volatile std::byte* page = data_;
  for (std::size_t offset = 0; offset < bytes_; offset += kSmallPage) page[offset] = std::byte{};
}

}  // namespace athanor::cpu
