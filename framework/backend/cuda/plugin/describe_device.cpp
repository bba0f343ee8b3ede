#include <cublasLt.h>
#include <cudnn.h>
#include <fmt/format.h>

#include <fstream>

#include "backend/cuda/plugin/checked.h"
#include "backend/cuda/plugin/cuda_device.h"

namespace athanor::cuda {

namespace {

/// CUDA counts 1000 a major version, 10 a minor one.
std::string cuda_version(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

/// The kernel module's version, "580.95.05"; where the system hides it, the CUDA version that the driver supports.
std::string driver_version() {
  std::string version;
  if (std::ifstream file("/sys/module/nvidia/version"); file && std::getline(file, version) && !version.empty())
    return version;
  int supported = 0;
  ATHANOR_CUDA(cudaDriverGetVersion(&supported));
  return "for CUDA " + cuda_version(supported);
}

}  // namespace

DeviceInfo describe_device(int ordinal) {
  cudaDeviceProp properties{};
  ATHANOR_CUDA(cudaGetDeviceProperties(&properties, ordinal));
  std::array<char, 32> bus_id{};
  ATHANOR_CUDA(cudaDeviceGetPCIBusId(bus_id.data(), bus_id.size(), ordinal));
  int runtime = 0;
  ATHANOR_CUDA(cudaRuntimeGetVersion(&runtime));
  int nccl = 0;
  check_nccl(ncclGetVersion(&nccl), "ncclGetVersion");
  const std::size_t cudnn = cudnnGetVersion();
  const std::size_t cublas = cublasLtGetVersion();
  DeviceInfo info;
  info.name = properties.name;
  info.ordinal = ordinal;
  info.capability = properties.major * 10 + properties.minor;
  info.multiprocessors = properties.multiProcessorCount;
  info.memory_bytes = properties.totalGlobalMem;
  info.bus_id = bus_id.data();
  info.driver = driver_version();
  info.runtime = cuda_version(runtime);
  info.cudnn = fmt::format("{}.{}.{}", cudnn / 10000, cudnn / 100 % 100, cudnn % 100);
  info.cublas = fmt::format("{}.{}.{}", cublas / 10000, cublas / 100 % 100, cublas % 100);
  info.nccl = fmt::format("{}.{}.{}", nccl / 10000, nccl / 100 % 100, nccl % 100);
  return info;
}

}  // namespace athanor::cuda
