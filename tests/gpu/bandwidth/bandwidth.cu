// How near the kernels that only move memory come to the speed of a copy, at ResNet-50's and ResNet-20's shapes. Prints
// one line a kernel and shape: microseconds, GB/s of the bytes that it must move, and the share of a copy's speed.
//   nvcc -std=c++20 --expt-relaxed-constexpr --extended-lambda -O3 -gencode arch=compute_90,code=sm_90 -I. -Iframework
//     tests/gpu/bandwidth/bandwidth.cu kernels/cuda/{batch_norm,batch_norm_backward,bias,pool2d}.cu -o bandwidth
//   ./bandwidth [bfloat16|float16|float32]
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "kernels/cuda/batch_norm.h"
#include "kernels/cuda/bias.h"
#include "kernels/cuda/pool2d.h"
#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda {

void launch(const BatchNorm&, LaunchStream);
void launch(const BatchNormBackward&, LaunchStream);
void launch(const ColumnSums&, LaunchStream);
void launch(const MaxPool&, LaunchStream);
void launch(const MaxPoolBackward&, LaunchStream);

namespace {

void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "bandwidth: %s\n", cudaGetErrorString(error));
  std::exit(1);
}

void* device_memory(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaMalloc(&memory, bytes));
  check(cudaMemset(memory, 0, bytes));
  return memory;
}

template <typename T>
ATHANOR_KERNEL fill_kernel(T* x, std::int64_t count) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const auto bits = static_cast<std::uint32_t>(i * 2654435761u);
    x[i] = store_as<T>(static_cast<float>(bits >> 8) * 0x1p-23f - 1.0f);
  }
}

void* random_memory(DType dtype, std::int64_t count) {
  void* memory = device_memory(static_cast<std::size_t>(count) * size_of(dtype));
  with_type(dtype, [&]<typename T>() {
    launch_independent(fill_kernel<T>, grid_for(count, 256), 256, 0, nullptr, static_cast<T*>(memory), count);
  });
  return memory;
}

/// Seconds of one call, of 20 after 3 that do not count, as part of a graph, where launches cost what they cost in a
/// step.
template <typename Work>
double seconds_of(Work work) {
  constexpr int kCalls = 20;
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  for (int i = 0; i < 3; ++i) work(stream);
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < kCalls; ++i) work(stream);
  check(cudaStreamEndCapture(stream, &graph));
  check(cudaGraphInstantiate(&executable, graph, 0));
  cudaEvent_t start, end;
  check(cudaEventCreate(&start));
  check(cudaEventCreate(&end));
  check(cudaGraphLaunch(executable, stream));
  check(cudaEventRecord(start, stream));
  check(cudaGraphLaunch(executable, stream));
  check(cudaEventRecord(end, stream));
  check(cudaStreamSynchronize(stream));
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, start, end));
  check(cudaGraphExecDestroy(executable));
  check(cudaGraphDestroy(graph));
  check(cudaStreamDestroy(stream));
  return milliseconds * 1e-3 / kCalls;
}

double copy_speed = 0;  ///< bytes read and written in a second

void report(const char* kernel, std::int64_t rows, std::int64_t channels, double bytes, double seconds) {
  std::printf("%-34s [%7ld, %4ld]  %8.1f us  %6.0f GB/s  %5.1f %% of a copy\n", kernel, static_cast<long>(rows),
              static_cast<long>(channels), seconds * 1e6, bytes / seconds * 1e-9, 100 * bytes / seconds / copy_speed);
}

struct Buffers {
  void *x, *y, *dy, *dx, *residual, *scratch;
  float *gamma, *beta, *mean, *inv_std, *dgamma, *dbeta;
};

void time_batch_norm(DType dtype, std::int64_t rows, std::int64_t channels, const Buffers& b) {
  const double bytes = static_cast<double>(rows * channels) * static_cast<double>(size_of(dtype));
  BatchNorm forward{.dtype = dtype,
                    .rows = rows,
                    .channels = channels,
                    .x = b.x,
                    .gamma = b.gamma,
                    .beta = b.beta,
                    .y = b.y,
                    .mean = b.mean,
                    .inv_std = b.inv_std,
                    .relu = true,
                    .scratch = b.scratch};
  report("batch_norm + relu", rows, channels, 3 * bytes, seconds_of([&](LaunchStream s) { launch(forward, s); }));
  forward.residual = b.residual;
  report("batch_norm + add + relu", rows, channels, 4 * bytes, seconds_of([&](LaunchStream s) { launch(forward, s); }));
  forward.sums = b.dgamma;
  forward.squares = b.dbeta;
  report("batch_norm + add + relu, given sums", rows, channels, 3 * bytes,
         seconds_of([&](LaunchStream s) { launch(forward, s); }));
  BatchNormBackward backward{.dtype = dtype,
                             .rows = rows,
                             .channels = channels,
                             .dy = b.dy,
                             .x = b.x,
                             .gamma = b.gamma,
                             .beta = b.beta,
                             .mean = b.mean,
                             .inv_std = b.inv_std,
                             .dx = b.dx,
                             .dgamma = b.dgamma,
                             .dbeta = b.dbeta,
                             .relu = true,
                             .scratch = b.scratch};
  report("batch_norm_backward + relu", rows, channels, 5 * bytes,
         seconds_of([&](LaunchStream s) { launch(backward, s); }));
  backward.y = b.y;
  backward.dy2 = b.residual;
  backward.dresidual = b.dy;
  report("batch_norm_backward + add + relu", rows, channels, 8 * bytes,
         seconds_of([&](LaunchStream s) { launch(backward, s); }));
  const ColumnSums sums{dtype, rows, channels, b.dy, nullptr, b.dbeta, b.scratch};
  report("column_sums", rows, channels, bytes, seconds_of([&](LaunchStream s) { launch(sums, s); }));
}

void time_max_pool(DType dtype, std::int64_t samples, const Buffers& b) {
  const PoolShape shape{.dtype = dtype,
                        .samples = samples,
                        .channels = 64,
                        .height = 112,
                        .width = 112,
                        .out_height = 56,
                        .out_width = 56,
                        .kernel_y = 3,
                        .kernel_x = 3,
                        .stride_y = 2,
                        .stride_x = 2,
                        .pad_y = 1,
                        .pad_x = 1};
  const double out = static_cast<double>(samples) * 56 * 56 * 64, element = static_cast<double>(size_of(dtype));
  auto* indices = static_cast<std::int32_t*>(b.residual);
  const MaxPool forward{shape, b.x, b.y, indices};
  const MaxPoolBackward backward{shape, b.y, indices, b.dx};
  report("max_pool2d", samples * 112 * 112, 64, out * (5 * element + 4),
         seconds_of([&](LaunchStream s) { launch(forward, s); }));
  report("max_pool2d_backward", samples * 112 * 112, 64, out * (5 * element + 4),
         seconds_of([&](LaunchStream s) { launch(backward, s); }));
}

int run(DType dtype) {
  constexpr std::int64_t kBatch = 256, kLargest = kBatch * 112 * 112 * 64, kWidest = 2048;
  Buffers b{};
  for (void** image : {&b.x, &b.y, &b.dy, &b.dx, &b.residual}) *image = random_memory(dtype, kLargest);
  b.scratch = device_memory(std::size_t{64} << 20);
  for (float** values : {&b.gamma, &b.beta, &b.mean, &b.inv_std, &b.dgamma, &b.dbeta})
    *values = static_cast<float*>(random_memory(DType::f32, kWidest));

  const std::size_t bytes = static_cast<std::size_t>(kLargest) * size_of(dtype);
  const double seconds =
      seconds_of([&](LaunchStream s) { check(cudaMemcpyAsync(b.y, b.x, bytes, cudaMemcpyDeviceToDevice, s)); });
  copy_speed = 2 * static_cast<double>(bytes) / seconds;
  std::printf("copy: %.0f GB/s\n", copy_speed * 1e-9);

  struct Size {
    std::int64_t side, channels;
  };
  for (const Size s :
       {Size{112, 64}, {56, 64}, {56, 256}, {28, 128}, {28, 512}, {14, 256}, {14, 1024}, {7, 512}, {7, 2048}})
    time_batch_norm(dtype, kBatch * s.side * s.side, s.channels, b);
  for (const Size s : {Size{32, 16}, {16, 32}, {8, 64}}) time_batch_norm(dtype, 128 * s.side * s.side, s.channels, b);
  time_max_pool(dtype, kBatch, b);
  return 0;
}

}  // namespace
}  // namespace athanor::kernels::cuda

int main(int count, char** arguments) {
  const std::string_view name = count > 1 ? arguments[1] : "bfloat16";
  const athanor::DType dtype = name == "float32"   ? athanor::DType::f32
                               : name == "float16" ? athanor::DType::f16
                                                   : athanor::DType::bf16;
  return athanor::kernels::cuda::run(dtype);
}
