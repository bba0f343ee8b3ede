#include "backend/cuda/plugin/nccl_group.h"

#include <chrono>
#include <cstring>
#include <thread>

#include "backend/cuda/plugin/checked.h"

namespace athanor::cuda {

namespace {

using Clock = std::chrono::steady_clock;

/// What a destructor waits for a group that is being taken down, before it leaves that to the system.
constexpr double kFarewellSeconds = 5;

ncclDataType_t type_of(DType type) {
  switch (type) {
    case DType::f64:
      return ncclFloat64;
    case DType::bf16:
      return ncclBfloat16;
    case DType::f16:
      return ncclFloat16;
    case DType::i32:
      return ncclInt32;
    case DType::i64:
      return ncclInt64;
    case DType::u8:
      return ncclUint8;
    case DType::f32:
      break;
  }
  return ncclFloat32;
}

/// The group's state once nothing is under way any more; ncclInProgress where that took longer than `timeout_s`.
ncclResult_t wait_for(ncclComm_t group, double timeout_s) {
  const auto deadline = Clock::now() + std::chrono::duration<double>(timeout_s);
  ncclResult_t state = ncclInProgress;
  for (int round = 0; ncclCommGetAsyncError(group, &state) == ncclSuccess && state == ncclInProgress; ++round) {
    if (Clock::now() > deadline) break;
    // Most calls are done in microseconds; the first ones connect peers.
    if (round < 1000)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return state;
}

/// ncclCommAbort may hang: nobody waits for it.
void abandon(ncclComm_t group) {
  std::thread([group] { ncclCommAbort(group); }).detach();
}

}  // namespace

NcclGroup::NcclGroup(std::span<const std::byte> key, int rank, int size, double timeout_s,
                     const std::array<cudaStream_t, kStreams>& streams)
    : rank_(rank), timeout_s_(timeout_s), streams_(streams) {
  ncclUniqueId id;
  ATHANOR_CHECK(key.size() == sizeof id, "a group's key has {} bytes, not {}", key.size(), sizeof id);
  std::memcpy(&id, key.data(), sizeof id);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  check_nccl(ncclCommInitRankConfig(&group_, size, id, rank, &config), "ncclCommInitRankConfig");
  const ncclResult_t state = wait_for(group_, timeout_s);
  if (state == ncclSuccess) return;
  const std::string detail = ncclGetLastError(group_);
  abandon(group_);
  if (state == ncclInProgress)
    throw PeerError(
        "rank {}: the GPUs of {} ranks did not connect within {:g} s; NCCL_DEBUG=INFO shows which is missing", rank,
        size, timeout_s);
  throw DeviceError("rank {}: NCCL cannot connect the GPUs: {}{}{}", rank, ncclGetErrorString(state),
                    detail.empty() ? "" : ": ", detail);
}

NcclGroup::~NcclGroup() {
  if (aborted_) return;
  for (void* handle : lent_) ncclCommDeregister(group_, handle);
  const bool well = poll().empty() && wait_for(group_, kFarewellSeconds) == ncclSuccess;
  if (well) {
    ncclCommFinalize(group_);
    if (wait_for(group_, kFarewellSeconds) == ncclSuccess) {
      ncclCommDestroy(group_);
      return;
    }
  }
  abandon(group_);
}

void NcclGroup::lend(void* memory, std::size_t bytes) {
  void* handle = nullptr;
  settle(ncclCommRegister(group_, memory, bytes, &handle), "ncclCommRegister");
  if (handle != nullptr) lent_.push_back(handle);
}

void NcclGroup::settle(ncclResult_t status, const char* call) {
  if (status == ncclSuccess) return;
  if (status == ncclInProgress) status = wait_for(group_, timeout_s_);
  if (status == ncclInProgress)
    throw PeerError("rank {}: {} did not return within {:g} s: another rank's GPU does not answer", rank_, call,
                    timeout_s_);
  check_nccl(status, call, group_);
}

void NcclGroup::all_reduce(void* data, std::size_t count, DType type, Stream stream) {
  settle(ncclAllReduce(data, data, count, type_of(type), ncclSum, group_, stream_of(stream)), "ncclAllReduce");
}

void NcclGroup::begin() {
  check_nccl(ncclGroupStart(), "ncclGroupStart");
}

void NcclGroup::send(const void* data, std::size_t bytes, int peer, Stream stream) {
  check_nccl(ncclSend(data, bytes, ncclUint8, peer, group_, stream_of(stream)), "ncclSend", group_);
}

void NcclGroup::receive(void* data, std::size_t bytes, int peer, Stream stream) {
  check_nccl(ncclRecv(data, bytes, ncclUint8, peer, group_, stream_of(stream)), "ncclRecv", group_);
}

void NcclGroup::end() {
  settle(ncclGroupEnd(), "ncclGroupEnd");
}

std::string NcclGroup::poll() {
  if (aborted_) return "aborted";
  ncclResult_t state = ncclSuccess;
  const ncclResult_t asked = ncclCommGetAsyncError(group_, &state);
  if (asked != ncclSuccess) state = asked;
  if (state == ncclSuccess || state == ncclInProgress) return "";
  const std::string detail = ncclGetLastError(group_);
  return std::string(ncclGetErrorString(state)) + (detail.empty() ? "" : ": " + detail);
}

void NcclGroup::abort() {
  if (!aborted_.exchange(true)) ncclCommAbort(group_);
}

}  // namespace athanor::cuda
