// Opens libathanor_cuda.so, and CUDA's libraries before it, when a run asks for a GPU: no earlier, since loading them
// takes a second and 200 MB.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/cuda/device.h"

namespace athanor::cuda {

/// The GPU of this number among the visible ones. Throws DeviceError, with what to install or to check, where there is
/// no such library, driver or device.
std::unique_ptr<Device> open_device(int ordinal);

/// How many GPUs this process sees, at least one. Throws DeviceError as open_device does.
int visible_devices();

/// The GPU for this process among `visible` ones: each rank of a host has its own, or, where the launcher shows each
/// rank only its own, the first. `local_rank`: counted within the host.
int ordinal_of(int local_rank, int visible);

/// Whether this machine has a GPU that open_device would open. Cheap where there is no NVIDIA driver. Never throws.
bool has_device() noexcept;

/// The folders that are searched for CUDA's libraries: those of ATHANOR_CUDA_LIBRARIES (colon-separated) come before
/// the loader's own, the others after.
struct LibraryFolders {
  std::vector<std::string> first;
  std::vector<std::string> last;
};
LibraryFolders library_folders();

}  // namespace athanor::cuda
