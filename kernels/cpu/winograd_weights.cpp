#include "kernels/winograd_weights.h"

#include <algorithm>
#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/winograd_weights_product.h"
#include "kernels/cpu/winograd_weights_tiles.h"
#include "kernels/winograd_weights_blocks.h"

namespace athanor::kernels::ATHANOR_ISA {
namespace {

using namespace winograd_weights;

/// Rows of tiles, channels, and the scratch to do them in.
struct Part {
  const WinogradWeightGradient& args;
  const WinogradWeightsBlocks& blocks;
  std::int64_t row_begin, row_end;
  std::int64_t in_begin, in_end, out_begin, out_end;  ///< in vectors
  float* x;                                           ///< [in_end - in_begin][36][position][kWidth]
  float* dy;                                          ///< [out_end - out_begin][36][position][kWidth]
  float* sums;                                        ///< [slab_out / kWidth][36][slab_in][kWidth]
  float* bias;                                        ///< [out_end - out_begin][kWidth]

  Part(const WinogradWeightGradient& a, const WinogradWeightsBlocks& b, std::int64_t part, std::int64_t room)
      : args(a), blocks(b) {
    const std::int64_t ins = a.shape.in_channels / kWidth, outs = a.shape.out_channels / kWidth;
    const std::int64_t in = part % b.in_parts, out = part / b.in_parts % b.out_parts;
    const std::int64_t row = part / b.in_parts / b.out_parts;
    row_begin = b.rows * row / b.row_parts;
    row_end = b.rows * (row + 1) / b.row_parts;
    in_begin = ins * in / b.in_parts;
    in_end = ins * (in + 1) / b.in_parts;
    out_begin = outs * out / b.out_parts;
    out_end = outs * (out + 1) / b.out_parts;
    float* scratch = static_cast<float*>(a.scratch) + static_cast<std::size_t>(room) * b.size;
    x = scratch + b.x;
    dy = scratch + b.dy;
    sums = scratch + b.sums;
    bias = scratch + b.bias;
  }
  /// Floats from one position of a transformed vector of channels to the next, and from one vector to the next.
  std::int64_t position() const { return blocks.position * kWidth; }
  std::int64_t vector() const { return kPositions * position(); }
  /// The same of the sums.
  std::int64_t sums_position() const { return blocks.slab_in * kWidth; }
  std::int64_t sums_vector() const { return kPositions * sums_position(); }
};

/// Row `row` of the batch's tiles, vector `group` of x's channels, to out[36][position].
void input_row(const Part& part, std::int64_t row, std::int64_t group, float* out) {
  const WinogradWeightGradient& args = part.args;
  const WinogradShape& s = args.shape;
  const std::int64_t n = row / part.blocks.image_rows, y = row % part.blocks.image_rows;
  const std::int64_t plane_index = n * (s.in_channels / kWidth) + group;
  const Plane plane{args.x + plane_index * s.height * s.width * kWidth, s.height, s.width};
  const std::int64_t top = kOutputs * y - s.pad_top;
  if (args.in_scale) {
    const float low = args.in_relu ? 0.0f : -std::numeric_limits<float>::infinity();
    const Affine affine{load(args.in_scale + group * kWidth), load(args.in_shift + group * kWidth), splat(low)};
    input_tiles<true>(plane, top, -s.pad_left, part.blocks.row_tiles, affine, out, part.position());
  } else {
    input_tiles<false>(plane, top, -s.pad_left, part.blocks.row_tiles, Affine{}, out, part.position());
  }
}

/// The same of dy. Returns the sum of the row's elements.
Vec gradient_row(const Part& part, std::int64_t row, std::int64_t group, float* out) {
  const WinogradShape& s = part.args.shape;
  const std::int64_t n = row / part.blocks.image_rows, y = row % part.blocks.image_rows;
  const std::int64_t plane_index = n * (s.out_channels / kWidth) + group;
  const Plane plane{part.args.dy + plane_index * s.out_height * s.out_width * kWidth, s.out_height, s.out_width};
  return gradient_tiles(plane, kOutputs * y, out, part.position());
}

void transform_block(const Part& part, std::int64_t row, std::int64_t rows) {
  const std::int64_t row_floats = part.blocks.row_tiles * kWidth;
  for (std::int64_t group = part.in_begin; group < part.in_end; ++group) {
    for (std::int64_t i = 0; i < rows; ++i) {
      input_row(part, row + i, group, part.x + (group - part.in_begin) * part.vector() + i * row_floats);
    }
  }
  for (std::int64_t group = part.out_begin; group < part.out_end; ++group) {
    const std::int64_t out = group - part.out_begin;
    Vec sum{};
    for (std::int64_t i = 0; i < rows; ++i) {
      sum += gradient_row(part, row + i, group, part.dy + out * part.vector() + i * row_floats);
    }
    float* bias = part.bias + out * kWidth;
    store(bias, row == part.row_begin ? sum : load(bias) + sum);
  }
}

/// Channels of the input by vectors of the output's whose sums are under way, counted from the part's first.
struct Slab {
  std::int64_t in_begin, in_end;
  std::int64_t out_begin, out_end;  ///< in vectors
};

#if defined(__AVX512F__)
constexpr int kPairIn = 8, kSingleIn = 16;
#else
constexpr int kPairIn = 4, kSingleIn = kWidth;
#endif

/// Products at one position for kOut vectors of the output's channels.
template <int kIn, int kOut>
void multiply_position(const Part& part, const Slab& slab, std::int64_t position, std::int64_t out, std::int64_t tiles,
                       bool first) {
  const float* d = part.dy + out * part.vector() + position * part.position();
  float* sums = part.sums + (out - slab.out_begin) * part.sums_vector() + position * part.sums_position();
  for (std::int64_t c = slab.in_begin; c < slab.in_end; c += kIn) {
    const float* x = part.x + c / kWidth * part.vector() + position * part.position() + c % kWidth;
    multiply<kIn, kOut>(x, d, part.vector(), tiles, sums + (c - slab.in_begin) * kWidth, part.sums_vector(), first);
  }
}

void multiply_slab(const Part& part, const Slab& slab, std::int64_t tiles, bool first) {
  for (std::int64_t position = 0; position < kPositions; ++position) {
    std::int64_t out = slab.out_begin;
    for (; out + 2 <= slab.out_end; out += 2) {
      multiply_position<kPairIn, 2>(part, slab, position, out, tiles, first);
    }
    if (out < slab.out_end) multiply_position<kSingleIn, 1>(part, slab, position, out, tiles, first);
  }
}

/// Gᵀ · sums · G of one channel of the input and one vector of the output's into dweight. `sums` lies in the first
/// of `rooms` rooms, whose sums are added.
void finish(const Part& part, const float* sums, std::int64_t rooms, std::int64_t in, std::int64_t out) {
  Vec tall[kTaps][kInputs];
#pragma GCC unroll 6
  for (int j = 0; j < kInputs; ++j) {
    Vec m[kInputs], w[kTaps];
#pragma GCC unroll 6
    for (int i = 0; i < kInputs; ++i) {
      const float* sum = sums + (i * kInputs + j) * part.sums_position();
      m[i] = load(sum);
      for (std::int64_t p = 1; p < rooms; ++p) m[i] += load(sum + static_cast<std::size_t>(p) * part.blocks.size);
    }
    transform_sums(m, w);
#pragma GCC unroll 3
    for (int i = 0; i < kTaps; ++i) tall[i][j] = w[i];
  }
  const std::int64_t block = out * (part.args.shape.in_channels / kWidth) + in / kWidth;
  float* dw = part.args.dweight + (block * kTaps * kTaps * kWidth + in % kWidth) * kWidth;
#pragma GCC unroll 3
  for (int r = 0; r < kTaps; ++r) {
    Vec w[kTaps];
    transform_sums(tall[r], w);
#pragma GCC unroll 3
    for (int k = 0; k < kTaps; ++k) store(dw + (r * kTaps + k) * kWidth * kWidth, w[k]);
  }
}

void finish_slab(const Part& part, const Slab& slab) {
  for (std::int64_t out = slab.out_begin; out < slab.out_end; ++out) {
    const float* sums = part.sums + (out - slab.out_begin) * part.sums_vector();
    for (std::int64_t in = slab.in_begin; in < slab.in_end; ++in) {
      finish(part, sums + (in - slab.in_begin) * kWidth, 1, part.in_begin * kWidth + in, part.out_begin + out);
    }
  }
}

/// Sums of all rows of a part, finished if they are the whole.
void run_part(const Part& part, bool whole) {
  const WinogradWeightsBlocks& b = part.blocks;
  const std::int64_t in_channels = (part.in_end - part.in_begin) * kWidth, vectors = part.out_end - part.out_begin;
  const std::int64_t slab_vectors = std::max<std::int64_t>(b.slab_out / kWidth, 1);
  for (std::int64_t row = part.row_begin; row < part.row_end; row += b.block_rows) {
    const std::int64_t rows = std::min(b.block_rows, part.row_end - row);
    transform_block(part, row, rows);
    for (std::int64_t out = 0; out < vectors; out += slab_vectors) {
      for (std::int64_t in = 0; in < in_channels; in += b.slab_in) {
        const Slab slab{in, std::min(in + b.slab_in, in_channels), out, std::min(out + slab_vectors, vectors)};
        multiply_slab(part, slab, rows * b.row_tiles, row == part.row_begin);
        if (whole && row + rows == part.row_end) finish_slab(part, slab);
      }
    }
  }
  if (whole && part.args.dbias && part.in_begin == 0) {
    std::copy_n(part.bias, vectors * kWidth, part.args.dbias + part.out_begin * kWidth);
  }
}

void gradient(const WinogradWeightGradient& args) {
  const WinogradShape& s = args.shape;
  const WinogradWeightsBlocks blocks = winograd_weights_blocks(s, args.threads);
  const bool whole = blocks.row_parts == 1;
  parallel_items(args.threads, blocks.rooms, [&](std::int64_t room) {
    const std::int64_t end = blocks.parts() * (room + 1) / blocks.rooms;
    for (std::int64_t part = blocks.parts() * room / blocks.rooms; part < end; ++part) {
      run_part(Part(args, blocks, part, room), whole);
    }
  });
  if (whole) return;
  const Part first(args, blocks, 0, 0);
  parallel_items(args.threads, s.out_channels / kWidth * s.in_channels, [&](std::int64_t item) {
    const std::int64_t out = item / s.in_channels, in = item % s.in_channels;
    finish(first, first.sums + out * first.sums_vector() + in * kWidth, blocks.rooms, in, out);
  });
  if (!args.dbias) return;
  std::copy_n(first.bias, s.out_channels, args.dbias);
  for (std::int64_t p = 1; p < blocks.rooms; ++p) {
    const float* bias = first.bias + static_cast<std::size_t>(p) * blocks.size;
    for (std::int64_t o = 0; o < s.out_channels; ++o) args.dbias[o] += bias[o];
  }
}

}  // namespace

extern const WinogradWeightsKernels winograd_weights_table = {gradient};

}  // namespace athanor::kernels::ATHANOR_ISA
