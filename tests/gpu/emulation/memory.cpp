#include "gpu/emulation/memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "backend/cuda/device.h"
#include "base/error.h"

namespace athanor::testing {
namespace {

constexpr std::size_t kAlignment = 512;
constexpr std::size_t kRedZone = 512;
/// NaN in every floating type: what reads memory that nobody wrote, or past the end, shows in its results.
constexpr std::byte kRed{0xff};
constexpr std::byte kUnwritten{0xff};
/// Of released memory that stays watched.
constexpr std::size_t kWatchedBytes = std::size_t{32} << 20;

std::size_t whole(std::size_t bytes) {
  return kRedZone + (bytes + kAlignment - 1) / kAlignment * kAlignment + kRedZone;
}

bool all_are(const std::byte* begin, const std::byte* end, std::byte value) {
  return std::all_of(begin, end, [value](std::byte b) { return b == value; });
}

/// The block that begins at or before `memory`, or end().
template <typename Blocks>
auto block_at(const Blocks& blocks, const std::byte* memory) {
  auto found = blocks.upper_bound(memory);
  return found == blocks.begin() ? blocks.end() : std::prev(found);
}

}  // namespace

EmulatedMemory::~EmulatedMemory() {
  for (const auto& [memory, block] : blocks_) std::free(block.base);
  for (const auto& [memory, block] : released_) std::free(block.base);
}

void* EmulatedMemory::allocate(std::size_t bytes, MemoryKind kind) {
  const std::lock_guard lock(mutex_);
  if (kind != MemoryKind::pinned) {
    if (used_ + bytes > device_bytes_) {
      throw cuda::OutOfMemory("out of memory: {} bytes wanted, {} of {} free", bytes, device_bytes_ - used_,
                              device_bytes_);
    }
    used_ += bytes;
  }
  auto* base = static_cast<std::byte*>(std::aligned_alloc(kAlignment, whole(bytes)));
  ATHANOR_CHECK(base != nullptr, "the host has no {} bytes", bytes);
  std::memset(base, static_cast<int>(kRed), whole(bytes));
  std::memset(base + kRedZone, static_cast<int>(kUnwritten), bytes);
  blocks_.emplace(base + kRedZone, Block{base, bytes, kind});
  return base + kRedZone;
}

void EmulatedMemory::release(void* memory, MemoryKind kind) {
  if (memory == nullptr) return;
  const std::lock_guard lock(mutex_);
  const auto found = blocks_.find(static_cast<const std::byte*>(memory));
  if (found == blocks_.end()) throw DeviceError("{} is released, but not allocated", memory);
  const auto [place, block] = *found;
  if (block.kind != kind) throw DeviceError("{} is released as another kind of memory than it was allocated", memory);
  check_block(place, block);
  std::memset(block.base + kRedZone, static_cast<int>(kUnwritten), block.bytes);
  blocks_.erase(found);
  if (kind != MemoryKind::pinned) used_ -= block.bytes;
  released_.emplace(place, block);
  release_order_.push_back(place);
  released_bytes_ += block.bytes;
  while (released_bytes_ > kWatchedBytes) forget_oldest();
}

void EmulatedMemory::forget_oldest() {
  const auto found = released_.find(release_order_.front());
  const auto [place, block] = *found;
  release_order_.pop_front();
  released_.erase(found);
  released_bytes_ -= block.bytes;
  check_released(place, block);
  std::free(block.base);
}

void EmulatedMemory::check_block(const std::byte* memory, const Block& block) const {
  if (!all_are(block.base, memory, kRed)) throw DeviceError("something wrote before a block of {} bytes", block.bytes);
  if (!all_are(memory + block.bytes, block.base + whole(block.bytes), kRed)) {
    throw DeviceError("something wrote behind a block of {} bytes", block.bytes);
  }
}

void EmulatedMemory::check_released(const std::byte* memory, const Block& block) const {
  check_block(memory, block);
  if (!all_are(memory, memory + block.bytes, kUnwritten)) {
    throw DeviceError("something wrote to a block of {} bytes after its release", block.bytes);
  }
}

void EmulatedMemory::check_range(const void* memory, std::size_t bytes, std::string_view what) const {
  const std::lock_guard lock(mutex_);
  const auto* begin = static_cast<const std::byte*>(memory);
  const auto found = block_at(blocks_, begin);
  if (found != blocks_.end() && begin + bytes <= found->first + found->second.bytes) return;
  const auto old = block_at(released_, begin);
  const bool was_released = old != released_.end() && begin < old->first + old->second.bytes;
  throw DeviceError("{}: {} bytes at {} are {}", what, bytes, memory,
                    was_released ? "released" : "not within one block of device or pinned memory");
}

void EmulatedMemory::check_arguments(const void* arguments, std::size_t bytes, std::string_view what) const {
  const std::lock_guard lock(mutex_);
  if (released_.empty()) return;
  for (std::size_t at = 0; at + sizeof(void*) <= bytes; at += sizeof(void*)) {
    const std::byte* word = nullptr;
    std::memcpy(&word, static_cast<const std::byte*>(arguments) + at, sizeof(word));
    const auto found = block_at(released_, word);
    if (found != released_.end() && word < found->first + found->second.bytes) {
      throw DeviceError("{}: the argument at byte {} points into released memory", what, at);
    }
  }
}

void EmulatedMemory::check() const {
  const std::lock_guard lock(mutex_);
  for (const auto& [memory, block] : blocks_) check_block(memory, block);
  for (const auto& [memory, block] : released_) check_released(memory, block);
}

std::size_t EmulatedMemory::free_bytes() const {
  const std::lock_guard lock(mutex_);
  return device_bytes_ - used_;
}

std::size_t EmulatedMemory::blocks() const {
  const std::lock_guard lock(mutex_);
  return blocks_.size();
}

}  // namespace athanor::testing
