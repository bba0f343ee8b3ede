// One way to compute a convolution or matrix product, by oneDNN or by our own kernels: what it is called, what it reads
// and writes, and how it becomes a step. What the planner and the ceiling choose from.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "backend/cpu/onednn_primitives.h"
#include "backend/cpu/op.h"
#include "graph/planner.h"

namespace athanor::cpu {

/// Of the batch norm whose output's gradient a gradient of x is: x and y as that, y or nullptr; the others float [C].
struct NormMemory {
  const void* x = nullptr;
  const float* gamma = nullptr;
  const float* beta = nullptr;
  const float* mean = nullptr;
  const float* inv_std = nullptr;
  const void* y = nullptr;
};

/// Of y = weight · x + bias; a gradient lies where its value would. `sum` and `squares`: float [O], Σ y and Σ y² of
/// each channel; `scale` and `shift`: float [C], of x. A gradient of x with statistics: `sum` and `squares` are those
/// of its norm, and `residual` is added. Absent ones are nullptr.
struct ProductMemory {
  void* x = nullptr;
  void* weight = nullptr;
  void* bias = nullptr;
  void* y = nullptr;
  void* sum = nullptr;
  void* squares = nullptr;
  const void* scale = nullptr;
  const void* shift = nullptr;
  const void* residual = nullptr;
  NormMemory norm;
  void* scratch = nullptr;
};

struct ProductCandidate {
  Direction direction = Direction::forward;
  std::string algorithm;                     ///< NodeChoice::algorithm; "" where an op has only one
  std::string implementation;                ///< "onednn:jit:avx512_common", "athanor:winograd:avx512"
  Layout x_layout, weight_layout, y_layout;  ///< of a convolution
  std::size_t x_bytes = 0, weight_bytes = 0, bias_bytes = 0, y_bytes = 0, scratch_bytes = 0;
  std::function<Step(const ProductMemory&)> bind;  ///< for the calling thread's team
};

/// A made primitive of oneDNN; names and layouts but for its implementation's are left to the caller.
ProductCandidate candidate_of(Direction direction, const ProductPrimitive& made);

/// Bytes of all that it reads, and of all that it writes, each one aligned.
std::size_t input_bytes(const ProductCandidate& candidate);
std::size_t output_bytes(const ProductCandidate& candidate);
/// Its step on three blocks of memory, of at least those sizes and of its scratch's.
Step bind_to_blocks(const ProductCandidate& candidate, std::byte* inputs, std::byte* outputs, std::byte* scratch);

}  // namespace athanor::cpu
