// How near the kernels that only move memory come to the speed of a copy, at the shapes of ResNet-50 (batch 256) and
// ResNet-20 (batch 128). One line a kernel and shape: microseconds, GB/s of the bytes that the algorithm must move, and
// the share of a copy's speed.
//   bench_gpu_kernels [--dtype float16] [--filter PART_OF_A_NAME] [--batch 256]
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string_view>
#include <vector>

#include "backend/cuda/open_device.h"
#include "gpu/bandwidth/kernel_timer.h"

namespace athanor::testing {
namespace {

using cuda::DeviceMemory;
using cuda::MemoryKind;
using namespace kernels::cuda;
using kernels::StepScalars;

struct Options {
  DType dtype = DType::f16;
  std::string filter;
  std::int64_t batch = 256;
};

/// Everything that the cases read and write; images [batch, 112, 112, 64] are the largest.
struct Buffers {
  DeviceMemory x, y, dy, dx, residual, indices, scratch, small;
  float* vector(int i) const { return small.as<float>() + static_cast<std::ptrdiff_t>(i) * 4096; }
};

/// `count` random numbers in [−1, 1), a piece of them repeated.
DeviceMemory random_memory(cuda::Device& device, DType dtype, std::int64_t count) {
  constexpr std::int64_t kPiece = 1 << 20;
  const std::size_t element = size_of(dtype);
  const DeviceMemory piece(device, MemoryKind::pinned, kPiece * element);
  std::minstd_rand random(7);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (std::int64_t i = 0; i < kPiece; ++i) {
    const float value = uniform(random);
    std::byte* at = piece.data() + static_cast<std::size_t>(i) * element;
    if (dtype == DType::f16) {
      const Float16 half(value);
      std::memcpy(at, &half, element);
    } else if (dtype == DType::bf16) {
      const BFloat16 half(value);
      std::memcpy(at, &half, element);
    } else {
      std::memcpy(at, &value, element);
    }
  }
  DeviceMemory memory(device, MemoryKind::device, static_cast<std::size_t>(count) * element);
  for (std::size_t at = 0; at < memory.bytes(); at += piece.bytes()) {
    device.copy(memory.data() + at, piece.data(), std::min(piece.bytes(), memory.bytes() - at), cuda::Stream::compute);
  }
  device.synchronize();
  return memory;
}

struct Shape2 {
  std::int64_t rows, channels;
  std::string text() const { return fmt::format(" [{}, {}]", rows, channels); }
};

/// Seconds of each form of batch norm at one shape.
struct NormSeconds {
  double forward = 0, forward_add = 0, given = 0, given_add = 0, backward = 0, backward_add = 0;
};

NormSeconds time_batch_norm(KernelTimer& timer, const Options& options, Shape2 shape, const Buffers& b) {
  const double bytes = static_cast<double>(shape.rows * shape.channels) * static_cast<double>(size_of(options.dtype));
  BatchNorm forward{.dtype = options.dtype,
                    .rows = shape.rows,
                    .channels = shape.channels,
                    .x = b.x.data(),
                    .gamma = b.vector(0),
                    .beta = b.vector(1),
                    .y = b.y.data(),
                    .mean = b.vector(2),
                    .inv_std = b.vector(3),
                    .relu = true,
                    .scratch = b.scratch.data()};
  NormSeconds seconds;
  seconds.forward = timer.time_kernel("batch_norm + relu" + shape.text(), 3 * bytes, forward);
  forward.residual = b.residual.data();
  seconds.forward_add = timer.time_kernel("batch_norm + add + relu" + shape.text(), 4 * bytes, forward);
  forward.sums = b.vector(4);
  forward.squares = b.vector(5);
  seconds.given_add = timer.time_kernel("batch_norm + add + relu, given sums" + shape.text(), 3 * bytes, forward);
  forward.residual = nullptr;
  seconds.given = timer.time_kernel("batch_norm + relu, given sums" + shape.text(), 2 * bytes, forward);
  const BatchNormInference inference{.dtype = options.dtype,
                                     .rows = shape.rows,
                                     .channels = shape.channels,
                                     .x = b.x.data(),
                                     .gamma = b.vector(0),
                                     .beta = b.vector(1),
                                     .mean = b.vector(2),
                                     .inv_std = b.vector(3),
                                     .y = b.y.data(),
                                     .relu = true,
                                     .scratch = b.scratch.data()};
  timer.time_kernel("batch_norm_inference" + shape.text(), 2 * bytes, inference);
  BatchNormBackward backward{.dtype = options.dtype,
                             .rows = shape.rows,
                             .channels = shape.channels,
                             .dy = b.dy.data(),
                             .x = b.x.data(),
                             .gamma = b.vector(0),
                             .beta = b.vector(1),
                             .mean = b.vector(2),
                             .inv_std = b.vector(3),
                             .dx = b.dx.data(),
                             .dgamma = b.vector(4),
                             .dbeta = b.vector(5),
                             .relu = true,
                             .scratch = b.scratch.data()};
  seconds.backward = timer.time_kernel("batch_norm_backward + relu" + shape.text(), 5 * bytes, backward);
  backward.dresidual = b.residual.data();
  if (options.dtype != DType::f32) {
    backward.mask = b.indices.as<std::uint8_t>();
    seconds.backward_add =
        timer.time_kernel("batch_norm_backward + add + relu, mask" + shape.text(), 6 * bytes, backward);
    backward.mask = nullptr;
  }
  backward.y = b.y.data();
  timer.time_kernel("batch_norm_backward + add + relu" + shape.text(), 7 * bytes, backward);
  backward.dy2 = b.residual.data();
  timer.time_kernel("batch_norm_backward + 2 dy + relu" + shape.text(), 8 * bytes, backward);
  return seconds;
}

/// A shape of batch norm, and in how many places of the network it is without and with a residual.
struct NormPlaces {
  Shape2 shape;
  int plain, added;
};

void time_network_norms(KernelTimer& timer, const Options& options, std::string_view network,
                        std::span<const NormPlaces> places, const Buffers& b) {
  double forward = 0, given = 0, backward = 0;
  for (const NormPlaces& place : places) {
    const NormSeconds seconds = time_batch_norm(timer, options, place.shape, b);
    forward += place.plain * seconds.forward + place.added * seconds.forward_add;
    given += place.plain * seconds.given + place.added * seconds.given_add;
    backward += place.plain * seconds.backward + place.added * seconds.backward_add;
  }
  fmt::print("batch norm in {}: forward {:.3f} ms, with given sums {:.3f} ms, backward {:.3f} ms\n", network,
             forward * 1e3, given * 1e3, backward * 1e3);
}

void time_pools(KernelTimer& timer, const Options& options, const Buffers& b) {
  const PoolShape shape{.dtype = options.dtype,
                        .samples = options.batch,
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
  const double out = static_cast<double>(options.batch) * 56 * 56 * 64;
  const double bytes = out * (5 * static_cast<double>(size_of(options.dtype)) + sizeof(std::uint8_t));
  void* indices = b.indices.data();
  timer.time_kernel("max_pool2d", bytes, MaxPool{shape, b.x.data(), b.y.data(), indices, DType::u8});
  timer.time_kernel("max_pool2d_backward", bytes, MaxPoolBackward{shape, b.y.data(), indices, DType::u8, b.dx.data()});
}

/// The passes over ResNet-50's parameters.
void time_update(KernelTimer& timer, cuda::Device& device, const Options& options, const Buffers& b) {
  constexpr std::int64_t kParameters = 25'557'032;
  constexpr double kBytes = 4.0 * kParameters;
  const DeviceMemory settings(device, MemoryKind::pinned, 4096);
  auto* scalars = new (settings.data()) StepScalars{};
  auto* segments = new (settings.data() + 1024) OptimizerSegment[2];
  segments[0] = {.begin = 0, .end = kParameters / 2, .l2_decay = 1e-4f};
  segments[1] = {.begin = kParameters / 2, .end = kParameters};
  const DeviceMemory on_device(device, MemoryKind::device, settings.bytes());
  device.copy(on_device.data(), settings.data(), settings.bytes(), cuda::Stream::compute);
  device.synchronize();
  const auto offset = [&](const void* part) {
    return on_device.data() + (static_cast<const std::byte*>(part) - settings.data());
  };
  OptimizerPass pass;
  pass.rule = kernels::OptimizerRule::sgd_momentum;
  pass.arenas.gradients = b.dy.as<float>();
  pass.arenas.weights = b.x.as<float>();
  pass.arenas.slots[0] = b.y.as<float>();
  pass.segments = reinterpret_cast<const OptimizerSegment*>(offset(segments));
  pass.segment_count = 2;
  pass.elements = kParameters;
  pass.scalars = reinterpret_cast<const StepScalars*>(offset(scalars));
  timer.time_kernel("optimizer_pass, SGD with momentum", 5 * kBytes, pass);
  pass.cast_to = DType::f16;
  pass.cast = b.dx.data();
  timer.time_kernel("optimizer_pass, SGD with momentum, cast", 5.5 * kBytes, pass);
  timer.time_kernel("sum_of_squares", kBytes, SumOfSquares{b.dy.as<float>(), kParameters, b.scratch.as<double>()});
  const DType half = options.dtype == DType::f32 ? DType::bf16 : options.dtype;
  timer.time_kernel("cast", 1.5 * kBytes, Cast{DType::f32, half, b.x.data(), b.y.data(), kParameters});
  timer.time_kernel("add", 3.0 * static_cast<double>(size_of(half)) * kParameters,
                    Add{half, b.x.data(), b.dy.data(), b.y.data(), kParameters});
}

void time_prepare_input(KernelTimer& timer, const Options& options, const Buffers& b) {
  PrepareInput args{.dtype = options.dtype,
                    .batch = options.batch,
                    .channels = 3,
                    .height = 224,
                    .width = 224,
                    .order = {.channels_last = true, .channels = 8, .height = 224, .width = 224},
                    .images = b.x.as<std::uint8_t>(),
                    .y = b.y.data()};
  for (int c = 0; c < 3; ++c) args.mean[c] = args.std[c] = 0.5f;
  const double pixels = static_cast<double>(options.batch) * 224 * 224;
  const auto element = static_cast<double>(size_of(options.dtype));
  timer.time_kernel("prepare_input, 8 channels stored", pixels * (3 + 8 * element), args);
  args.order.channels = 4;
  timer.time_kernel("prepare_input, 4 channels stored", pixels * (3 + 4 * element), args);
  args.order = {.channels_last = true, .channels = 16, .height = 115, .width = 115, .fold = 2, .front = 4};
  timer.time_kernel("prepare_input, folded for a window of 7",
                    pixels * 3 + static_cast<double>(options.batch) * 115 * 115 * 16 * element, args);
}

std::vector<NormPlaces> resnet50(std::int64_t batch) {
  const auto rows = [&](std::int64_t side) { return batch * side * side; };
  return {{{rows(112), 64}, 1, 0},  {{rows(56), 64}, 6, 0},  {{rows(56), 256}, 1, 3}, {{rows(56), 128}, 1, 0},
          {{rows(28), 128}, 7, 0},  {{rows(28), 512}, 1, 4}, {{rows(28), 256}, 1, 0}, {{rows(14), 256}, 11, 0},
          {{rows(14), 1024}, 1, 6}, {{rows(14), 512}, 1, 0}, {{rows(7), 512}, 5, 0},  {{rows(7), 2048}, 1, 3}};
}

constexpr std::array<NormPlaces, 3> kResNet20{
    {{{128 * 32 * 32, 16}, 4, 3}, {{128 * 16 * 16, 32}, 3, 3}, {{128 * 8 * 8, 64}, 3, 3}}};

/// The convolutions of ResNet-20 that our own engine has; bytes are those of the images, weights being small.
void time_direct_convolutions(KernelTimer& timer, const Options& options, const Buffers& b) {
  if (options.dtype == DType::f32) return;
  for (const int channels : {16, 32, 64}) {
    const int side = 512 / channels;
    const std::string text = fmt::format(" [128, {}, {}, {}]", side, side, channels);
    const double bytes = 2.0 * 128 * side * side * channels * 2;
    DirectConvolution product{options.dtype, false, 128,        side,        side,      channels,
                              channels,      1,     b.x.data(), b.dy.data(), b.y.data()};
    timer.time_kernel("direct_convolution" + text, bytes, product);
    product.backward_data = true;
    timer.time_kernel("direct_convolution, backward data" + text, bytes, product);
    timer.time_kernel("direct_convolution_weights" + text, bytes,
                      DirectConvolutionWeights{options.dtype, DType::f32, 128, side, side, channels, channels, 1,
                                               b.x.data(), b.dy.data(), b.dx.data(), b.scratch.data()});
  }
  for (const int channels : {32, 64}) {
    const int side = 1024 / channels;
    const std::string text = fmt::format(" [128, {}, {}, {}], stride 2", side, side, channels / 2);
    const double bytes = 1.5 * 128 * side * side * channels / 2 * 2;
    DirectConvolution product{options.dtype, false, 128,        side,        side,      channels / 2,
                              channels,      2,     b.x.data(), b.dy.data(), b.y.data()};
    timer.time_kernel("direct_convolution" + text, bytes, product);
    product.backward_data = true;
    timer.time_kernel("direct_convolution, backward data" + text, bytes, product);
    timer.time_kernel("direct_convolution_weights" + text, bytes,
                      DirectConvolutionWeights{options.dtype, DType::f32, 128, side, side, channels / 2, channels, 2,
                                               b.x.data(), b.dy.data(), b.dx.data(), b.scratch.data()});
  }
  timer.time_kernel(
      "direct_convolution [128, 32, 32, 4]", 128.0 * 32 * 32 * 20 * 2,
      DirectConvolution{options.dtype, false, 128, 32, 32, 4, 16, 1, b.x.data(), b.dy.data(), b.y.data()});
  timer.time_kernel("direct_convolution_weights [128, 32, 32, 4]", 128.0 * 32 * 32 * 20 * 2,
                    DirectConvolutionWeights{options.dtype, DType::f32, 128, 32, 32, 4, 16, 1, b.x.data(), b.dy.data(),
                                             b.dx.data(), b.scratch.data()});
}

int run(const Options& options) {
  const std::unique_ptr<cuda::Device> device = cuda::open_device(0);
  const std::int64_t largest = std::max<std::int64_t>(options.batch * 112 * 112 * 64, std::int64_t{1} << 25);
  const auto images = [&] { return random_memory(*device, options.dtype, largest); };
  const Buffers buffers{.x = images(),
                        .y = images(),
                        .dy = images(),
                        .dx = images(),
                        .residual = images(),
                        .indices = DeviceMemory(*device, MemoryKind::device, static_cast<std::size_t>(largest)),
                        .scratch = DeviceMemory(*device, MemoryKind::device, std::size_t{64} << 20),
                        .small = random_memory(*device, DType::f32, 8 * 4096)};
  fmt::print("{}, {}\n", device->info().name, name_of(options.dtype));
  KernelTimer timer(*device, buffers.x, buffers.y);
  timer.set_filter(options.filter);
  time_network_norms(timer, options, "ResNet-50", resnet50(options.batch), buffers);
  time_network_norms(timer, options, "ResNet-20", kResNet20, buffers);
  time_direct_convolutions(timer, options, buffers);
  time_pools(timer, options, buffers);
  time_prepare_input(timer, options, buffers);
  time_update(timer, *device, options, buffers);
  return 0;
}

Options parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string_view name = arguments[i], value = arguments[i + 1];
    if (name == "--filter") options.filter = value;
    if (name == "--batch") options.batch = std::atoll(arguments[i + 1]);
    if (name == "--dtype")
      options.dtype = value == "float32" ? DType::f32 : value == "bfloat16" ? DType::bf16 : DType::f16;
  }
  return options;
}

}  // namespace
}  // namespace athanor::testing

int main(int count, char** arguments) {
  try {
    return athanor::testing::run(athanor::testing::parse(count, arguments));
  } catch (const athanor::DeviceError& error) {
    fmt::print("skipped: no GPU ({})\n", error.what());
    return 77;
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_gpu_kernels: {}\n", error.what());
    return 1;
  }
}
