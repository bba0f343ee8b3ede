// A block of memory that is allocated once, before step 0, and never grows.
#pragma once

#include <cstddef>

namespace athanor::cpu {

/// Zeroed, page-aligned, huge pages advised. Pages become real when first touched, so the thread that uses an arena
/// should touch it first. Throws DeviceError when there is no memory.
class ArenaMemory {
 public:
  ArenaMemory() = default;
  explicit ArenaMemory(std::size_t bytes);
  ~ArenaMemory();
  ArenaMemory(ArenaMemory&& other) noexcept;
  ArenaMemory& operator=(ArenaMemory&& other) noexcept;

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  float* floats() const { return reinterpret_cast<float*>(data_); }
  /// Makes every page real, from the calling thread.
  void touch();

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace athanor::cpu
