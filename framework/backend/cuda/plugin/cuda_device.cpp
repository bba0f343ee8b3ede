#include "backend/cuda/plugin/cuda_device.h"

#include <nvtx3/nvToolsExt.h>

#include <algorithm>
#include <cstring>

#include "backend/cuda/direct_convolutions.h"
#include "backend/cuda/plugin/checked.h"
#include "backend/cuda/plugin/library_products.h"
#include "backend/cuda/plugin/nccl_group.h"

namespace athanor::cuda {

namespace {

cudaEvent_t event_of(Event event) {
  return reinterpret_cast<cudaEvent_t>(event);
}

cudaGraphExec_t graph_of(GraphExec graph) {
  return reinterpret_cast<cudaGraphExec_t>(graph);
}

}  // namespace

CudaDevice::CudaDevice(int ordinal) : ordinal_(ordinal) {
  ATHANOR_CUDA(cudaSetDevice(ordinal));
  info_ = describe_device(ordinal);
  int least = 0;
  int greatest = 0;
  ATHANOR_CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  for (int i = 0; i < kStreams; ++i) {
    // Sums between GPUs go first: others wait for them.
    const int priority = static_cast<Stream>(i) == Stream::communication ? greatest : least;
    ATHANOR_CUDA(cudaStreamCreateWithPriority(&streams_[static_cast<std::size_t>(i)], cudaStreamNonBlocking, priority));
  }
  products_ = std::make_unique<LibraryProducts>();
}

CudaDevice::~CudaDevice() {
  products_.reset();
  for (cudaStream_t stream : streams_) cudaStreamDestroy(stream);
}

std::size_t CudaDevice::free_bytes() const {
  std::size_t free = 0;
  std::size_t total = 0;
  ATHANOR_CUDA(cudaMemGetInfo(&free, &total));
  return free;
}

void* CudaDevice::allocate(std::size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, std::max<std::size_t>(bytes, 512));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw OutOfMemory("{} (GPU {}) has no {:.2f} GiB free: {:.2f} of {:.2f} GiB are", info_.name, ordinal_,
                      static_cast<double>(bytes) / (1 << 30), static_cast<double>(free_bytes()) / (1 << 30),
                      static_cast<double>(info_.memory_bytes) / (1 << 30));
  }
  check_cuda(status, "cudaMalloc");
  ATHANOR_CHECK(reinterpret_cast<std::uintptr_t>(memory) % 512 == 0, "cudaMalloc aligns to less than 512 bytes");
  return memory;
}

// Nothing that is released says that it failed: after an error every call fails, and the first has told.

void CudaDevice::release(void* memory) {
  cudaFree(memory);
}

void* CudaDevice::allocate_communication(std::size_t bytes) {
  CommunicationBlock block{.bytes = std::max<std::size_t>(bytes, 512)};
  block.registered = ncclMemAlloc(&block.memory, block.bytes) == ncclSuccess;
  if (!block.registered) {
    cudaGetLastError();
    block.memory = allocate(block.bytes);
  }
  communication_.push_back(block);
  return block.memory;
}

void CudaDevice::release_communication(void* memory) {
  const auto block = std::find_if(communication_.begin(), communication_.end(),
                                  [&](const CommunicationBlock& each) { return each.memory == memory; });
  ATHANOR_CHECK(block != communication_.end(), "this memory is not for communication");
  if (block->registered)
    ncclMemFree(memory);
  else
    release(memory);
  communication_.erase(block);
}

void* CudaDevice::allocate_pinned(std::size_t bytes) {
  // Any thread, and a new one has device 0.
  ATHANOR_CUDA(cudaSetDevice(ordinal_));
  void* memory = nullptr;
  ATHANOR_CUDA(cudaHostAlloc(&memory, std::max<std::size_t>(bytes, 512), cudaHostAllocMapped | cudaHostAllocPortable));
  return memory;
}

void CudaDevice::release_pinned(void* memory) {
  cudaSetDevice(ordinal_);
  cudaFreeHost(memory);
}

Event CudaDevice::make_event(bool timed) {
  cudaEvent_t event = nullptr;
  // A host that waits leaves its core to the threads that fill batches.
  ATHANOR_CUDA(cudaEventCreateWithFlags(&event, cudaEventBlockingSync | (timed ? 0u : cudaEventDisableTiming)));
  return reinterpret_cast<Event>(event);
}

void CudaDevice::release(Event event) {
  cudaEventDestroy(event_of(event));
}

void CudaDevice::record(Event event, Stream stream) {
  ATHANOR_CUDA(cudaEventRecord(event_of(event), stream_of(stream)));
}

void CudaDevice::wait(Stream stream, Event event) {
  ATHANOR_CUDA(cudaStreamWaitEvent(stream_of(stream), event_of(event), 0));
}

bool CudaDevice::is_done(Event event) {
  const cudaError_t status = cudaEventQuery(event_of(event));
  if (status == cudaErrorNotReady) return false;
  check_cuda(status, "cudaEventQuery");
  return true;
}

void CudaDevice::synchronize(Event event) {
  ATHANOR_CUDA(cudaEventSynchronize(event_of(event)));
}

void CudaDevice::synchronize() {
  ATHANOR_CUDA(cudaDeviceSynchronize());
}

double CudaDevice::seconds_between(Event start, Event end) {
  float milliseconds = 0;
  ATHANOR_CUDA(cudaEventElapsedTime(&milliseconds, event_of(start), event_of(end)));
  return static_cast<double>(milliseconds) / 1000;
}

void CudaDevice::copy(void* to, const void* from, std::size_t bytes, Stream stream) {
  ATHANOR_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_of(stream)));
}

void CudaDevice::fill_zero(void* to, std::size_t bytes, Stream stream) {
  ATHANOR_CUDA(cudaMemsetAsync(to, 0, bytes, stream_of(stream)));
}

void CudaDevice::launch(kernels::cuda::KernelId kernel, const void* arguments, Stream stream) {
  kernels::cuda::launcher_of(kernel)(arguments, stream_of(stream));
  if (const cudaError_t status = cudaGetLastError(); status != cudaSuccess)
    check_cuda(status, kernels::cuda::name_of(kernel));
}

bool CudaDevice::has_direct_engine(const ProductSpec& spec) const {
  return info_.capability >= 80 && fits_direct_engine(spec);
}

std::vector<std::string> CudaDevice::engines(const ProductSpec& spec) {
  std::vector<std::string> names = products_->engines(spec);
  // First, so that no bound on what is timed leaves it out.
  if (has_direct_engine(spec)) names.insert(names.begin(), std::string(kDirectEngine));
  return names;
}

std::unique_ptr<Product> CudaDevice::make_product(const ProductSpec& spec, const std::string& engine) {
  if (!is_own_engine(engine)) return products_->make(spec, engine);
  if (engine != kDirectEngine || !has_direct_engine(spec)) return nullptr;
  return std::make_unique<DirectProduct>(std::get<ConvolutionSpec>(spec));
}

void CudaDevice::run(const Product& product, std::span<void* const> tensors, void* workspace, Stream stream) {
  if (const auto* direct = dynamic_cast<const DirectProduct*>(&product)) {
    return direct->run(*this, tensors, workspace, stream);
  }
  products_->run(product, tensors, workspace, stream_of(stream));
}

void CudaDevice::begin_capture(Stream stream) {
  // Other threads may go on calling CUDA.
  ATHANOR_CUDA(cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal));
}

GraphExec CudaDevice::end_capture(Stream stream) {
  cudaGraph_t graph = nullptr;
  ATHANOR_CUDA(cudaStreamEndCapture(stream_of(stream), &graph));
  cudaGraphExec_t exec = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&exec, graph, 0);
  cudaGraphDestroy(graph);
  check_cuda(status, "cudaGraphInstantiate");
  ATHANOR_CUDA(cudaGraphUpload(exec, stream_of(stream)));
  return reinterpret_cast<GraphExec>(exec);
}

void CudaDevice::launch(GraphExec graph, Stream stream) {
  ATHANOR_CUDA(cudaGraphLaunch(graph_of(graph), stream_of(stream)));
}

void CudaDevice::release(GraphExec graph) {
  cudaGraphExecDestroy(graph_of(graph));
}

void CudaDevice::push_range(const char* name) {
  nvtxRangePushA(name);
}

void CudaDevice::pop_range() {
  nvtxRangePop();
}

std::vector<std::byte> CudaDevice::make_group_key() {
  ncclUniqueId id;
  check_nccl(ncclGetUniqueId(&id), "ncclGetUniqueId");
  std::vector<std::byte> key(sizeof id);
  std::memcpy(key.data(), &id, sizeof id);
  return key;
}

std::unique_ptr<DeviceGroup> CudaDevice::make_group(std::span<const std::byte> key, int rank, int size,
                                                    double timeout_s) {
  auto group = std::make_unique<NcclGroup>(key, rank, size, timeout_s, streams_);
  for (const CommunicationBlock& block : communication_)
    if (block.registered) group->lend(block.memory, block.bytes);
  return group;
}

}  // namespace athanor::cuda
