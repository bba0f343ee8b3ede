// What the executor asks of NVIDIA's libraries: convolutions (cuDNN) and matrix products (cuBLASLt), described by
// numbers alone, so that the same description can be planned for a GPU that is not there, run by a GPU, or computed by
// the tests' reference mathematics.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/dtype.h"

namespace athanor::cuda {

enum class Direction : std::uint8_t { forward, backward_data, backward_weights };

/// y [N, OH, OW, O] = x [N, H, W, C] ∗ w [O, KH, KW, C / groups] and its gradients. Channels are those in memory,
/// padding included. Sums are float32.
///
/// Tensors, in the order in which run() takes them:
///   forward           x, w, y; with `bias`: bias [O], float32; with `statistics`: sum [O], sum of squares [O],
///                     both float32, of y before it is rounded or after (the library's choice)
///   backward_data     dy, w, dx
///   backward_weights  x, dy, dw (element type `gradient`; cuDNN has none where it differs from `type`)
struct ConvolutionSpec {
  Direction direction = Direction::forward;
  DType type = DType::f32;      ///< of x, w and y: f32, bf16, f16
  DType gradient = DType::f32;  ///< backward_weights: of dw
  bool tf32 = false;            ///< f32: products may be rounded to TF32
  bool deterministic = true;    ///< only engines that give the same bits every time
  bool bias = false;            ///< forward: y + bias
  bool relu = false;            ///< forward: max(y + bias, 0)
  bool statistics = false;      ///< forward: column sums of y, for the batch norm behind it
  std::int64_t batch = 0, channels = 0, height = 0, width = 0;
  std::int64_t out_channels = 0, out_height = 0, out_width = 0;
  std::array<std::int64_t, 2> kernel{1, 1}, stride{1, 1}, dilation{1, 1};
  std::array<std::int64_t, 2> pad_begin{0, 0}, pad_end{0, 0};
  std::int64_t groups = 1;
  friend bool operator==(const ConvolutionSpec&, const ConvolutionSpec&) = default;
};

enum class Epilogue : std::uint8_t { none, bias, bias_relu, bias_gelu };

/// Row-major d [m, n] = op(a) · op(b) (+ bias [n]), then the activation. Sums are float32.
///
/// Tensors: a, b, d; with a bias: bias [n] (of d's type); bias_gelu also writes the value before the activation
/// [m, n] behind it.
struct MatmulSpec {
  std::int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false;  ///< a is stored [k, m]
  bool transpose_b = false;  ///< b is stored [n, k]
  DType type = DType::f32;   ///< of a and b
  DType output = DType::f32;
  bool tf32 = false;
  Epilogue epilogue = Epilogue::none;
  friend bool operator==(const MatmulSpec&, const MatmulSpec&) = default;
};

using ProductSpec = std::variant<ConvolutionSpec, MatmulSpec>;

/// One line that names a spec completely: the key of the engine cache, and what errors and tables print.
std::string text_of(const ProductSpec& spec);
/// Multiply-adds count as 2.
double flops_of(const ProductSpec& spec);
/// Bytes of each tensor, in the order above.
std::vector<std::size_t> tensor_bytes(const ProductSpec& spec);

/// A spec that an engine has been chosen for, ready to run on one device.
class Product {
 public:
  virtual ~Product() = default;
  virtual std::size_t workspace_bytes() const = 0;
  /// The library's name for the engine and its settings.
  virtual const std::string& engine() const = 0;
};

}  // namespace athanor::cuda
