// Memory of the emulated device: red zones around every block, contents that nobody has written are NaN, and what was
// released stays watched for a while.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string_view>

namespace athanor::testing {

enum class MemoryKind : std::uint8_t { device, communication, pinned };

/// Thread-safe. Every finding is a DeviceError.
class EmulatedMemory {
 public:
  explicit EmulatedMemory(std::size_t device_bytes) : device_bytes_(device_bytes) {}
  ~EmulatedMemory();
  EmulatedMemory(const EmulatedMemory&) = delete;
  EmulatedMemory& operator=(const EmulatedMemory&) = delete;

  /// Aligned to 512 bytes; every byte is 0xff, which is NaN in every floating type.
  void* allocate(std::size_t bytes, MemoryKind kind);
  /// Checks the block's red zones.
  void release(void* memory, MemoryKind kind);

  /// That [memory, memory + bytes) lies within one block that is allocated; `what` is who wants to use it.
  void check_range(const void* memory, std::size_t bytes, std::string_view what) const;
  /// That none of the words of an argument struct points into a block that was released.
  void check_arguments(const void* arguments, std::size_t bytes, std::string_view what) const;
  /// Looks at all red zones and at everything that was released lately.
  void check() const;

  std::size_t free_bytes() const;
  std::size_t blocks() const;

 private:
  struct Block {
    std::byte* base = nullptr;  ///< red zone, contents, red zone
    std::size_t bytes = 0;
    MemoryKind kind = MemoryKind::device;
  };
  void check_block(const std::byte* memory, const Block& block) const;
  void check_released(const std::byte* memory, const Block& block) const;
  void forget_oldest();

  mutable std::mutex mutex_;
  std::map<const std::byte*, Block> blocks_;
  std::map<const std::byte*, Block> released_;
  std::deque<const std::byte*> release_order_;
  std::size_t released_bytes_ = 0;
  std::size_t device_bytes_ = 0;
  std::size_t used_ = 0;
};

}  // namespace athanor::testing
