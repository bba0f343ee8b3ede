// Blocks of a device's memory that free themselves.
#pragma once

#include <cstddef>
#include <utility>

#include "backend/cuda/device.h"

namespace athanor::cuda {

/// Where a block comes from.
enum class MemoryKind : std::uint8_t {
  device,         ///< the device's own
  communication,  ///< the device's own, known to the other GPUs
  pinned          ///< the host's, which the device reads and writes
};

class DeviceMemory {
 public:
  DeviceMemory() = default;
  /// 0 bytes: nothing. Throws DeviceError when there is no memory.
  DeviceMemory(Device& device, MemoryKind kind, std::size_t bytes) : device_(&device), kind_(kind), bytes_(bytes) {
    if (bytes == 0) return;
    data_ = kind == MemoryKind::device          ? device.allocate(bytes)
            : kind == MemoryKind::communication ? device.allocate_communication(bytes)
                                                : device.allocate_pinned(bytes);
  }
  ~DeviceMemory() {
    if (data_ == nullptr) return;
    if (kind_ == MemoryKind::device) device_->release(data_);
    if (kind_ == MemoryKind::communication) device_->release_communication(data_);
    if (kind_ == MemoryKind::pinned) device_->release_pinned(data_);
  }
  DeviceMemory(DeviceMemory&& other) noexcept { swap(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    DeviceMemory taken(std::move(other));
    swap(taken);
    return *this;
  }

  std::byte* data() const { return static_cast<std::byte*>(data_); }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  std::size_t bytes() const { return bytes_; }

 private:
  void swap(DeviceMemory& other) {
    std::swap(device_, other.device_);
    std::swap(kind_, other.kind_);
    std::swap(bytes_, other.bytes_);
    std::swap(data_, other.data_);
  }

  Device* device_ = nullptr;
  MemoryKind kind_ = MemoryKind::device;
  std::size_t bytes_ = 0;
  void* data_ = nullptr;
};

/// An event that frees itself.
class DeviceEvent {
 public:
  DeviceEvent() = default;
  explicit DeviceEvent(Device& device, bool timed = false) : device_(&device), event_(device.make_event(timed)) {}
  ~DeviceEvent() {
    if (event_ != nullptr) device_->release(event_);
  }
  DeviceEvent(DeviceEvent&& other) noexcept : device_(other.device_), event_(std::exchange(other.event_, nullptr)) {}
  DeviceEvent& operator=(DeviceEvent&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(event_, other.event_);
    return *this;
  }
  Event get() const { return event_; }

 private:
  Device* device_ = nullptr;
  Event event_ = nullptr;
};

}  // namespace athanor::cuda
