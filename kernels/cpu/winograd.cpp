#include "kernels/winograd.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/winograd_blocking.h"
#include "kernels/cpu/winograd_filter.h"
#include "kernels/cpu/winograd_input.h"
#include "kernels/cpu/winograd_norm_gradient.h"
#include "kernels/cpu/winograd_output.h"

namespace athanor::kernels::ATHANOR_ISA {
namespace {

using namespace winograd;

/// A thread's part of the scratch.
struct Room {
  float *v, *m, *u, *zeros;
  OutputSums sums;
};

Room room_of(const WinogradConvolution& args, const Blocking& b, std::int64_t part) {
  Room room;
  room.v = static_cast<float*>(args.scratch) + part * b.floats();
  room.m = b.in_place ? room.v : room.v + b.v_floats;
  room.u = room.v + b.v_floats + b.m_floats;
  room.zeros = room.u + b.u_floats;
  room.sums.sums = reinterpret_cast<double*>(room.zeros + b.zero_floats);
  room.sums.squares = room.sums.sums + args.shape.out_channels;
  room.sums.centres = room.zeros + b.zero_floats + 4 * args.shape.out_channels;
  room.sums.started = false;
  return room;
}

/// The products of a slice of the channels for `tiles` tiles; u: their weights.
void multiply_slice(const Blocking& b, const Room& room, const Slice& slice, const float* u, std::int64_t tiles) {
  for (int position = 0; position < kPositions; ++position, u += slice.u_position) {
    const float* v = room.v + position * b.v_position + slice.v;
    float* m = room.m + position * b.m_position;
    for (std::int64_t tile = 0; tile < tiles; tile += b.block) {
      const std::int64_t here = std::min(b.block, tiles - tile);
      multiplication(b.vectors, here)({.v = v + tile * slice.groups * kWidth,
                                       .v_stride = b.block * kWidth,
                                       .u = u,
                                       .m = m + tile * b.vectors * kWidth,
                                       .groups = slice.groups,
                                       .add = slice.first > 0});
    }
  }
}

/// The output's side that a call needs.
template <bool kResidual>
auto tile_writer(const WinogradConvolution& args) {
  const WinogradNormGradient& norm = args.norm;
  if (norm.x == nullptr) {
    return args.sums ? transform_output_tiles<kResidual, true> : transform_output_tiles<kResidual, false>;
  }
  if (norm.output) return transform_norm_gradient_tiles<kResidual, NormMask::from_output>;
  return norm.scale ? transform_norm_gradient_tiles<kResidual, NormMask::recomputed>
                    : transform_norm_gradient_tiles<kResidual, NormMask::none>;
}

void convolve_tiles(const WinogradConvolution& args, const Blocking& b, Room room, std::int64_t begin,
                    std::int64_t end) {
  const std::int64_t pairs = divide_up(b.out_groups, b.vectors);
  const auto write = args.residual ? tile_writer<true>(args) : tile_writer<false>(args);
  std::fill(room.zeros, room.zeros + b.zero_floats, 0.0f);
  std::fill(room.sums.sums, room.sums.sums + 2 * args.shape.out_channels, 0.0);
  const auto weights_of = [&](const Slice& slice, std::int64_t pair) {
    return room.u + (b.resident ? pair * b.slices + slice.index : 0) * b.slice_floats;
  };
  for (std::int64_t pair = 0; b.resident && pair < pairs; ++pair) {
    for_slices(b, [&](const Slice& slice) { transform_filter(args, b, slice, pair, weights_of(slice, pair)); });
  }
  for (std::int64_t tile = begin; tile < end; tile += b.batch) {
    const std::int64_t tiles = std::min(b.batch, end - tile);
    transform_input_tiles(args, b, tile, tile + tiles, room.zeros, room.v);
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
      for_slices(b, [&](const Slice& slice) {
        float* u = weights_of(slice, pair);
        if (!b.resident) transform_filter(args, b, slice, pair, u);
        multiply_slice(b, room, slice, u, tiles);
      });
      write(args, b, pair, tile, tile + tiles, room.m, room.sums);
    }
    room.sums.started = true;
  }
}

void convolve(const WinogradConvolution& args) {
  const Blocking b = blocking_of(args.shape, args.threads);
  const std::int64_t parts = std::max(args.threads, 1);
  parallel_items(args.threads, parts, [&](std::int64_t part) {
    convolve_tiles(args, b, room_of(args, b, part), b.tiles * part / parts, b.tiles * (part + 1) / parts);
  });
  if (!args.sums) return;
  std::fill(args.sums, args.sums + 2 * args.shape.out_channels, 0.0);
  for (std::int64_t part = 0; part < parts; ++part) {
    const OutputSums sums = room_of(args, b, part).sums;
    for (std::int64_t o = 0; o < args.shape.out_channels; ++o) {
      args.sums[2 * o] += sums.sums[o];
      args.sums[2 * o + 1] += sums.squares[o];
    }
  }
}

std::size_t scratch_bytes(const WinogradShape& shape, int threads) {
  return static_cast<std::size_t>(blocking_of(shape, threads).floats() * std::max(threads, 1)) * sizeof(float);
}

}  // namespace

extern const WinogradKernels winograd_table = {convolve, scratch_bytes};

}  // namespace athanor::kernels::ATHANOR_ISA
