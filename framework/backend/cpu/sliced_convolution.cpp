#include "backend/cpu/sliced_convolution.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "backend/cpu/convolution_candidates.h"
#include "backend/cpu/op.h"
#include "backend/cpu/winograd_candidates.h"
#include "graph/passes/liveness.h"
#include "kernels/batch_norm_synchronized.h"

namespace athanor::cpu {
namespace {

/// The fewest images that fill the team's second-level caches, or take as much as twice the weights, which every slice
/// reads again.
std::int64_t least_images(const Convolution& conv) {
  constexpr std::int64_t kCacheBytes = 1 << 20;
  const Shape& written = conv.direction == Direction::forward ? conv.y : conv.x;
  const auto bytes = static_cast<std::int64_t>(size_of(conv.dtype));
  const std::int64_t image = written.elements() / written[0] * bytes;
  return std::clamp<std::int64_t>(std::max(kCacheBytes * conv.threads, 2 * conv.weight.elements() * bytes) / image, 1,
                                  written[0]);
}

/// The convolution alone.
Convolution without_fusions(const Convolution& convolution) {
  Convolution conv = convolution;
  conv.statistics = conv.normalized = conv.input_relu = false;
  if (conv.direction == Direction::backward_data) conv.residual = false;
  return conv;
}

kernels::ChannelView view_of(const Shape& shape, DType dtype, const Layout& layout) {
  Value value;
  value.shape = shape;
  value.dtype = dtype;
  return cpu::view_of(value, layout);
}

/// What a slice's sums are made of, behind oneDNN's own part of the scratch.
struct Room {
  double *sums, *squares;  ///< [C], of all slices
  float *first, *second;   ///< [C], of one
  float* unused;           ///< [2, C]
  void* norm;              ///< the kernels' own

  static std::size_t bytes_before_norm(std::int64_t channels) {
    return align_up(static_cast<std::size_t>(channels) * (2 * sizeof(double) + 4 * sizeof(float)));
  }
  Room(void* memory, std::int64_t channels) {
    sums = static_cast<double*>(memory);
    squares = sums + channels;
    first = reinterpret_cast<float*>(squares + channels);
    second = first + channels;
    unused = second + channels;
    norm = static_cast<std::byte*>(memory) + bytes_before_norm(channels);
  }
};

void clear(const Room& room, std::int64_t channels) {
  std::fill(room.sums, room.sums + 2 * channels, 0.0);
}

void hand_over(const Room& room, std::int64_t channels, float* sum, float* squares) {
  for (std::int64_t c = 0; c < channels; ++c) {
    sum[c] = static_cast<float>(room.sums[c]);
    squares[c] = static_cast<float>(room.squares[c]);
  }
}

/// A batch cut into ranges of images.
struct Slices {
  Convolution conv;  ///< of one slice
  std::int64_t count;
  ProductCandidate made;
  std::size_t scratch_offset;  ///< of Room

  std::byte* part(const void* whole, std::size_t bytes, std::int64_t slice) const {
    return static_cast<std::byte*>(const_cast<void*>(whole)) + bytes * static_cast<std::size_t>(slice);
  }
  ProductMemory memory(const ProductMemory& whole, std::int64_t slice) const {
    ProductMemory memory = whole;
    memory.x = part(whole.x, made.x_bytes, slice);
    memory.y = part(whole.y, made.y_bytes, slice);
    return memory;
  }
  Room room(const ProductMemory& whole) const {
    return {static_cast<std::byte*>(whole.scratch) + scratch_offset, written().shape[1]};
  }
  std::size_t norm_bytes() const {
    const Written all = written();
    const kernels::ChannelView view = view_of(all.shape, conv.dtype, all.layout);
    return align_up(kernels::batch_norm_scratch_bytes(view, conv.threads));
  }
  /// Behind the room: where a gradient of x lies before another is added to it, which may lie where both end.
  std::byte* alone(const ProductMemory& whole) const {
    return static_cast<std::byte*>(room(whole).norm) + norm_bytes();
  }
  std::size_t scratch_bytes(bool has_residual) const {
    return scratch_offset + Room::bytes_before_norm(written().shape[1]) + norm_bytes() +
           (has_residual ? made.x_bytes : 0);
  }
  struct Written {
    const Shape& shape;
    const Layout& layout;
  };
  Written written() const {
    return conv.direction == Direction::forward ? Written{conv.y, made.y_layout} : Written{conv.x, made.x_layout};
  }
};

/// The smallest slices of one size that what runs the whole runs too.
std::optional<Slices> cut(const Convolution& convolution, const WholeProduct& whole) {
  const auto algorithm = find_algorithm(whole.algorithm);
  if (!algorithm) return std::nullopt;
  const std::int64_t batch = convolution.x[0];
  Convolution conv = without_fusions(convolution);
  conv.algorithm = *algorithm;
  for (std::int64_t images = least_images(convolution); images < batch; ++images) {
    if (batch % images != 0) continue;
    conv.x[0] = conv.y[0] = images;
    const auto made = make_convolution(conv, whole.x, whole.y);
    if (made == nullptr || made->implementation != whole.implementation || made->weight_layout != whole.weight)
      continue;
    const ProductCandidate candidate = candidate_of(conv, *made);
    return Slices{conv, batch / images, candidate, align_up(candidate.scratch_bytes)};
  }
  return std::nullopt;
}

Step bind_forward(const Slices& slices, const ProductMemory& whole) {
  const Room room = slices.room(whole);
  const std::int64_t channels = slices.conv.y[1];
  const auto n = static_cast<double>(slices.conv.y.elements() / channels);
  std::vector<std::pair<Step, kernels::BatchNormMoments>> parts;
  for (std::int64_t slice = 0; slice < slices.count; ++slice) {
    const ProductMemory memory = slices.memory(whole, slice);
    parts.push_back({slices.made.bind(memory),
                     {.view = view_of(slices.conv.y, slices.conv.dtype, slices.made.y_layout),
                      .dtype = slices.conv.dtype,
                      .channels = channels,
                      .x = memory.y,
                      .mean = room.first,
                      .var = room.second,
                      .scratch = room.norm,
                      .threads = slices.conv.threads}});
  }
  return [parts, room, channels, n, sum = static_cast<float*>(whole.sum), squares = static_cast<float*>(whole.squares),
          moments = kernels::batch_norm_synchronized_kernels().moments] {
    clear(room, channels);
    for (const auto& [convolve, norm] : parts) {
      convolve();
      moments(norm);
      for (std::int64_t c = 0; c < channels; ++c) {
        const double mean = room.first[c], var = room.second[c];
        room.sums[c] += n * mean;
        room.squares[c] += n * (var + mean * mean);
      }
    }
    hand_over(room, channels, sum, squares);
  };
}

Step bind_backward(const Slices& slices, const ProductMemory& whole, bool has_relu) {
  const Room room = slices.room(whole);
  const std::int64_t channels = slices.conv.x[1];
  std::vector<std::pair<Step, kernels::BatchNormSums>> parts;
  for (std::int64_t slice = 0; slice < slices.count; ++slice) {
    ProductMemory memory = slices.memory(whole, slice);
    void* const dx = memory.x;
    if (whole.residual != nullptr) memory.x = slices.alone(whole);
    const auto of_slice = [&](const void* values) -> void* {
      return values == nullptr ? nullptr : slices.part(values, slices.made.x_bytes, slice);
    };
    const NormMemory& norm = whole.norm;
    parts.push_back({slices.made.bind(memory),
                     {.gradient = {.view = view_of(slices.conv.x, slices.conv.dtype, slices.made.x_layout),
                                   .dtype = slices.conv.dtype,
                                   .channels = channels,
                                   .dy = memory.x,
                                   .dy2 = of_slice(whole.residual),
                                   .x = of_slice(norm.x),
                                   .y = of_slice(norm.y),
                                   .gamma = norm.gamma,
                                   .beta = norm.beta,
                                   .mean = norm.mean,
                                   .inv_std = norm.inv_std,
                                   .dresidual = dx,
                                   .dgamma = room.second,
                                   .dbeta = room.first,
                                   .relu = has_relu,
                                   .scratch = room.norm,
                                   .threads = slices.conv.threads},
                      .sums = room.unused}});
  }
  return [parts, room, channels, inv_std = whole.norm.inv_std, sum = static_cast<float*>(whole.sum),
          products = static_cast<float*>(whole.squares), sums = kernels::batch_norm_synchronized_kernels().sums] {
    clear(room, channels);
    for (const auto& [convolve, norm] : parts) {
      convolve();
      sums(norm);
      for (std::int64_t c = 0; c < channels; ++c) {
        room.sums[c] += room.first[c];
        room.squares[c] += static_cast<double>(room.second[c]) / inv_std[c];
      }
    }
    hand_over(room, channels, sum, products);
  };
}

}  // namespace

std::optional<ProductCandidate> sliced_candidate(const Convolution& convolution, const WholeProduct& whole) {
  if (convolution.normalized || convolution.groups != 1) return std::nullopt;
  if (convolution.direction == Direction::forward && (convolution.residual || convolution.relu)) return std::nullopt;
  const std::optional<Slices> slices = cut(convolution, whole);
  if (!slices) return std::nullopt;
  ProductCandidate candidate = slices->made;
  candidate.x_bytes *= static_cast<std::size_t>(slices->count);
  candidate.y_bytes *= static_cast<std::size_t>(slices->count);
  candidate.scratch_bytes = slices->scratch_bytes(convolution.residual);
  candidate.bind = [slices = *slices, has_relu = convolution.input_relu](const ProductMemory& memory) {
    return slices.conv.direction == Direction::forward ? bind_forward(slices, memory)
                                                       : bind_backward(slices, memory, has_relu);
  };
  return candidate;
}

std::optional<ProductCandidate> fused_candidate(const Convolution& convolution, ConvolutionChoices& choices,
                                                bool measures) {
  if (!convolution.statistics && !convolution.normalized) return choices.choose(convolution, measures);
  const auto alone = choices.choose(without_fusions(convolution), measures);
  if (!alone) return std::nullopt;
  if (is_winograd_kernel(*alone)) return winograd_candidates(convolution, alone->x_layout, alone->y_layout).at(0);
  return sliced_candidate(
      convolution, {alone->algorithm, alone->implementation, alone->x_layout, alone->weight_layout, alone->y_layout});
}

}  // namespace athanor::cpu
