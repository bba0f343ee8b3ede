// What libathanor_cuda.so exports, and libathanor.so looks up in it.
#pragma once

#include "backend/cuda/device.h"

namespace athanor::cuda {

template <typename... Arguments>
constexpr int size_of_all(kernels::cuda::KernelList<Arguments...>) {
  return (static_cast<int>(sizeof(Arguments)) + ... + 0);
}

/// Changes with device.h's version here, and with the kernels and their argument structs by themselves: two libraries
/// of different builds refuse each other instead of misreading what they are handed.
inline constexpr int kPluginAbi =
    2'000'000 + 10'000 * static_cast<int>(kernels::cuda::AllKernels::kCount) + size_of_all(kernels::cuda::AllKernels{});

/// Devices that this process sees; 0 and a text in `error` where there are none. The text lives until the thread's next
/// call.
using CountDevices = int (*)(int abi, const char** error);
/// The caller owns the device; nullptr and a text in `error` where it cannot be had.
using OpenDevice = Device* (*)(int abi, int ordinal, const char** error);

inline constexpr const char* kCountDevices = "athanor_count_cuda";
inline constexpr const char* kOpenDevice = "athanor_open_cuda";

}  // namespace athanor::cuda
