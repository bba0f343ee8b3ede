#include "kernels/winograd.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/winograd_blocking.h"
#include "kernels/cpu/winograd_filter.h"
#include "kernels/cpu/winograd_input.h"
#include "kernels/cpu/winograd_output.h"

namespace athanor::kernels::ATHANOR_ISA {
namespace {

using namespace winograd;

/// A thread's part of the scratch.
struct Room {
  float *v, *m, *u, *turned, *zeros;
  OutputSums sums;
};

Room room_of(const WinogradConvolution& args, const Blocking& b, std::int64_t part) {
  Room room;
  room.v = static_cast<float*>(args.scratch) + part * b.floats();
  room.m = b.in_place ? room.v : room.v + b.v_floats;
  room.u = room.v + b.v_floats + b.m_floats;
  room.turned = room.u + b.u_floats;
  room.zeros = room.turned + b.turned_floats;
  room.sums.sums = reinterpret_cast<double*>(room.zeros + b.zero_floats);
  room.sums.centres = room.zeros + b.zero_floats + 4 * args.shape.out_channels;
  room.sums.started = false;
  return room;
}

/// The products of positions [first, first + count) for `tiles` tiles; u: their weights.
void multiply_positions(const Blocking& b, const Room& room, const float* u, int first, int count, std::int64_t tiles) {
  const std::int64_t channels = b.in_groups * kWidth;
  for (int position = first; position < first + count; ++position, u += channels * b.vectors * kWidth) {
    const float* v = room.v + position * b.v_position;
    float* m = room.m + position * b.m_position;
    for (std::int64_t tile = 0; tile < tiles; tile += b.block) {
      const std::int64_t here = std::min(b.block, tiles - tile);
      multiplication(b.vectors,
                     here)({v + tile * channels, b.block * kWidth, u, m + tile * b.vectors * kWidth, b.in_groups});
    }
  }
}

template <int... kRow>
void transform_and_multiply(const WinogradConvolution& args, const Blocking& b, const Room& room, std::int64_t pair,
                            std::int64_t tiles, std::integer_sequence<int, kRow...>) {
  if (args.turned) turn_filter(args, b, pair, room.turned);
  (
      [&] {
        transform_filter<kRow, 1>(args, b, pair, room.turned, room.u);
        multiply_positions(b, room, room.u, kRow * kInputs, kInputs, tiles);
      }(),
      ...);
}

void convolve_tiles(const WinogradConvolution& args, const Blocking& b, Room room, std::int64_t begin,
                    std::int64_t end) {
  const std::int64_t pairs = divide_up(b.out_groups, b.vectors);
  const std::int64_t pair_weights = kPositions * args.shape.in_channels * b.vectors * kWidth;
  const auto write = args.residual
                         ? args.sums ? transform_output_tiles<true, true> : transform_output_tiles<true, false>
                     : args.sums ? transform_output_tiles<false, true>
                                 : transform_output_tiles<false, false>;
  std::fill(room.zeros, room.zeros + b.zero_floats, 0.0f);
  std::fill(room.sums.sums, room.sums.sums + 2 * args.shape.out_channels, 0.0);
  for (std::int64_t pair = 0; b.resident && pair < pairs; ++pair) {
    if (args.turned) turn_filter(args, b, pair, room.turned);
    transform_filter<0, kInputs>(args, b, pair, room.turned, room.u + pair * pair_weights);
  }
  for (std::int64_t tile = begin; tile < end; tile += b.batch) {
    const std::int64_t tiles = std::min(b.batch, end - tile);
    transform_input_tiles(args, b, tile, tile + tiles, room.zeros, room.v);
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
      if (b.resident) {
        multiply_positions(b, room, room.u + pair * pair_weights, 0, kPositions, tiles);
      } else {
        transform_and_multiply(args, b, room, pair, tiles, std::make_integer_sequence<int, kInputs>{});
      }
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
    const double* sums = room_of(args, b, part).sums.sums;
    for (std::int64_t i = 0; i < 2 * args.shape.out_channels; ++i) args.sums[i] += sums[i];
  }
}

std::size_t scratch_bytes(const WinogradShape& shape, int threads) {
  return static_cast<std::size_t>(blocking_of(shape, threads).floats() * std::max(threads, 1)) * sizeof(float);
}

}  // namespace

extern const WinogradKernels winograd_table = {convolve, scratch_bytes};

}  // namespace athanor::kernels::ATHANOR_ISA
