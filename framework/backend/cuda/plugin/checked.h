// A failed call of CUDA or NCCL as an exception: the call, and the library's own words.
#pragma once

#include <cuda_runtime.h>
#include <nccl.h>

#include "base/error.h"

namespace athanor::cuda {

inline void check_cuda(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // so that the next call is not blamed
  throw DeviceError("{}: {} ({})", call, cudaGetErrorString(status), cudaGetErrorName(status));
}

inline void check_nccl(ncclResult_t status, const char* call, ncclComm_t group = nullptr) {
  if (status == ncclSuccess || status == ncclInProgress) return;
  const char* detail = ncclGetLastError(group);
  throw DeviceError("{}: {}{}{}", call, ncclGetErrorString(status), detail && *detail ? ": " : "",
                    detail ? detail : "");
}

}  // namespace athanor::cuda

/// Throws DeviceError with the call's text where it does not succeed.
#define ATHANOR_CUDA(call) ::athanor::cuda::check_cuda((call), #call)
