// Times own kernels on a GPU as a step runs them: captured into a graph. Counts the bytes that they must move.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "backend/cuda/device.h"
#include "backend/cuda/device_memory.h"

namespace athanor::testing {

class KernelTimer {
 public:
  /// Measures the speed of a large copy first, to which all is compared. `copied`: two blocks of equal size.
  KernelTimer(cuda::Device& device, const cuda::DeviceMemory& from, const cuda::DeviceMemory& to);

  /// Prints microseconds of one call, GB/s of `bytes`, and the share of a copy's speed. A case that `filter`, part of
  /// the name, leaves out is not run. Returns the seconds, 0 where it did not run.
  double time(const std::string& name, double bytes, const std::function<void(cuda::Stream)>& work);

  /// The same for one launch of an own kernel.
  template <typename Arguments>
  double time_kernel(const std::string& name, double bytes, const Arguments& arguments) {
    return time(name, bytes, [&](cuda::Stream stream) { cuda::launch(device_, arguments, stream); });
  }

  void set_filter(std::string filter) { filter_ = std::move(filter); }

 private:
  double seconds_of(const std::function<void(cuda::Stream)>& work);

  cuda::Device& device_;
  std::string filter_;
  double copy_speed_ = 0;  ///< bytes read and written in a second
};

}  // namespace athanor::testing
