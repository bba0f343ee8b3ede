#include "backend/cuda/direct_convolutions.h"

#include <limits>

#include "base/error.h"
#include "kernels/cuda/direct_convolution.h"

namespace athanor::cuda {
namespace {

using Pair = std::array<std::int64_t, 2>;

/// Of a block, on every GPU since compute capability 8.0.
constexpr std::size_t kMostSharedBytes = 96 * 1024;

kernels::cuda::ImageTiles tiles_of(const ConvolutionSpec& s) {
  return kernels::cuda::image_tiles(s.batch, static_cast<int>(s.height), static_cast<int>(s.width),
                                    static_cast<int>(s.out_channels), static_cast<int>(s.stride[0]));
}

bool has_plain_window(const ConvolutionSpec& s) {
  const Pair ones{1, 1};
  return s.kernel == Pair{3, 3} && (s.stride == ones || s.stride == Pair{2, 2}) && s.dilation == ones &&
         s.pad_begin == ones && s.pad_end == ones && s.groups == 1;
}

bool has_known_channels(const ConvolutionSpec& s) {
  const std::int64_t c = s.out_channels;
  if (s.stride[0] == 2) return (c == 32 || c == 64) && s.channels == c / 2;
  const bool is_stem = s.direction != Direction::backward_data && c == 16 && s.channels == 4;
  return (c == 16 || c == 32 || c == 64) && (s.channels == c || is_stem);
}

bool fits_shared_memory(const ConvolutionSpec& s) {
  const int in_channels = static_cast<int>(s.channels), channels = static_cast<int>(s.out_channels);
  if (s.batch < 1 || s.height < 1 || s.width < 1 || s.out_width > kernels::cuda::direct_tile_pixels(channels))
    return false;
  // Places are counted in int.
  if (s.batch * s.height > std::numeric_limits<int>::max() / s.width / s.out_channels) return false;
  const kernels::cuda::ImageTiles tiles = tiles_of(s);
  const std::size_t bytes = s.direction == Direction::backward_weights
                                ? kernels::cuda::direct_weights_shared_bytes(tiles, in_channels, channels)
                                : kernels::cuda::direct_shared_bytes(tiles, in_channels, channels);
  return bytes <= kMostSharedBytes;
}

}  // namespace

bool fits_direct_engine(const ProductSpec& spec) {
  const auto* s = std::get_if<ConvolutionSpec>(&spec);
  if (s == nullptr || s->bias || s->relu || s->statistics) return false;
  const bool is_short = s->type == DType::bf16 || s->type == DType::f16;
  const bool has_gradient = s->gradient == s->type || s->gradient == DType::f32;
  return is_short && has_gradient && has_plain_window(*s) && has_known_channels(*s) && fits_shared_memory(*s);
}

DirectProduct::DirectProduct(const ConvolutionSpec& spec) : spec_(spec) {
  if (spec.direction != Direction::backward_weights) return;
  workspace_bytes_ = kernels::cuda::direct_weights_scratch_bytes(tiles_of(spec), static_cast<int>(spec.channels),
                                                                 static_cast<int>(spec.out_channels));
}

const std::string& DirectProduct::engine() const {
  static const std::string name(kDirectEngine);
  return name;
}

void DirectProduct::run(Device& device, std::span<void* const> tensors, void* workspace, Stream stream) const {
  ATHANOR_CHECK(tensors.size() == 3, "{}: {} tensors", text_of(spec_), tensors.size());
  const int height = static_cast<int>(spec_.height), width = static_cast<int>(spec_.width);
  const int in_channels = static_cast<int>(spec_.channels), channels = static_cast<int>(spec_.out_channels);
  const int stride = static_cast<int>(spec_.stride[0]);
  if (spec_.direction == Direction::backward_weights) {
    launch(device,
           kernels::cuda::DirectConvolutionWeights{.dtype = spec_.type,
                                                   .gradient = spec_.gradient,
                                                   .batch = spec_.batch,
                                                   .height = height,
                                                   .width = width,
                                                   .in_channels = in_channels,
                                                   .channels = channels,
                                                   .stride = stride,
                                                   .x = tensors[0],
                                                   .dy = tensors[1],
                                                   .dw = tensors[2],
                                                   .scratch = workspace},
           stream);
    return;
  }
  launch(device,
         kernels::cuda::DirectConvolution{.dtype = spec_.type,
                                          .backward_data = spec_.direction == Direction::backward_data,
                                          .batch = spec_.batch,
                                          .height = height,
                                          .width = width,
                                          .in_channels = in_channels,
                                          .channels = channels,
                                          .stride = stride,
                                          .x = tensors[0],
                                          .w = tensors[1],
                                          .y = tensors[2]},
         stream);
}

}  // namespace athanor::cuda
