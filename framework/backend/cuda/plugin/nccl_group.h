// The GPUs of a job through NCCL. The communicator does not block: a peer that is gone makes calls come back with an
// error, or not at all within the deadline, but never holds the host for good.
#pragma once

#include <cuda_runtime.h>
#include <nccl.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "backend/cuda/device.h"

namespace athanor::cuda {

class NcclGroup final : public DeviceGroup {
 public:
  /// Collective over the ranks that hold the key. `timeout_s` bounds this and every later call on the host. Throws
  /// PeerError when the others do not come in time, DeviceError where NCCL refuses.
  NcclGroup(std::span<const std::byte> key, int rank, int size, double timeout_s,
            const std::array<cudaStream_t, kStreams>& streams);
  ~NcclGroup() override;

  /// Lets NCCL read and write memory of ncclMemAlloc without a copy. The same calls on all ranks.
  void lend(void* memory, std::size_t bytes);

  void all_reduce(void* data, std::size_t count, DType type, Stream stream) override;
  void begin() override;
  void send(const void* data, std::size_t bytes, int peer, Stream stream) override;
  void receive(void* data, std::size_t bytes, int peer, Stream stream) override;
  void end() override;
  std::string poll() override;
  void abort() override;

 private:
  cudaStream_t stream_of(Stream stream) const { return streams_[static_cast<std::size_t>(stream)]; }
  /// Until NCCL has done on the host what `call` began.
  void settle(ncclResult_t status, const char* call);

  ncclComm_t group_ = nullptr;
  std::atomic<bool> aborted_ = false;
  int rank_;
  double timeout_s_;
  std::array<cudaStream_t, kStreams> streams_;
  std::vector<void*> lent_;
};

}  // namespace athanor::cuda
