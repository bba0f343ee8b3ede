// What libathanor_cuda.so exports, and libathanor.so looks up in it.
#pragma once

namespace athanor::cuda {

class Device;

/// Changes whenever device.h or the kernels' argument structs do in a release.
inline constexpr int kPluginAbi = 1;

/// Devices that this process sees; 0 and a text in `error` where there are none. The text lives until the thread's next
/// call.
using CountDevices = int (*)(int abi, const char** error);
/// The caller owns the device; nullptr and a text in `error` where it cannot be had.
using OpenDevice = Device* (*)(int abi, int ordinal, const char** error);

inline constexpr const char* kCountDevices = "athanor_count_cuda";
inline constexpr const char* kOpenDevice = "athanor_open_cuda";

}  // namespace athanor::cuda
