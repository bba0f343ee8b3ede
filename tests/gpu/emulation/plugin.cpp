// The emulated device as libathanor_cuda.so's twin: one GPU, which the ranks of a host share.
#include "backend/cuda/plugin_interface.h"
#include "gpu/emulation/emulated_device.h"

namespace {

bool is_known(int abi, const char** error) {
  if (abi == athanor::cuda::kPluginAbi) return true;
  *error = "the emulation is of another version";
  return false;
}

}  // namespace

extern "C" int athanor_count_cuda(int abi, const char** error) {
  return is_known(abi, error) ? 1 : 0;
}

extern "C" athanor::cuda::Device* athanor_open_cuda(int abi, int ordinal, const char** error) {
  if (!is_known(abi, error)) return nullptr;
  return new athanor::testing::EmulatedDevice({.memory_bytes = std::size_t{8} << 30, .ordinal = ordinal});
}
