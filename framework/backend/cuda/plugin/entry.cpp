// What the program calls after it has opened this library: see framework/backend/cuda/open_device.cpp.
#include <cuda_runtime.h>

#include <exception>
#include <string>

#include "backend/cuda/plugin/cuda_device.h"
#include "backend/cuda/plugin_interface.h"

namespace {

/// Holds the text that the caller gets a pointer to.
thread_local std::string last_error;

const char* keep(std::string text) {
  last_error = std::move(text);
  return last_error.c_str();
}

}  // namespace

extern "C" int athanor_count_cuda(int abi, const char** error) {
  if (abi != athanor::cuda::kPluginAbi) {
    *error = keep("libathanor_cuda.so is of another version of Athanor than libathanor.so");
    return 0;
  }
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess) return count;
  cudaGetLastError();
  *error = keep(std::string(cudaGetErrorString(status)) + " (" + cudaGetErrorName(status) + ")");
  return 0;
}

extern "C" athanor::cuda::Device* athanor_open_cuda(int abi, int ordinal, const char** error) try {
  if (athanor_count_cuda(abi, error) == 0) return nullptr;
  return new athanor::cuda::CudaDevice(ordinal);
} catch (const std::exception& failure) {
  *error = keep(failure.what());
  return nullptr;
}
