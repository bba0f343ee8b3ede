// Convolutions by oneDNN: what one is, and its primitives. Which algorithms and layouts are tried, in which order,
// stands here alone.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/cpu/onednn_primitives.h"
#include "base/dtype.h"
#include "base/shape.h"
#include "graph/graph.h"
#include "graph/planner.h"

namespace athanor::cpu {

/// The input of conv2d that its output is added to; see graph/ops/conv2d.cpp.
inline constexpr std::size_t kConvolutionResidual = 3;
/// And those by which its input is scaled and shifted, of conv2d and of its gradient of weights.
inline constexpr std::size_t kConvolutionScale = 4, kWeightGradientScale = 2;
/// And of the gradient of its input: what is added to it, and where those of a norm begin.
inline constexpr std::size_t kDataGradientResidual = 2, kDataGradientNorm = 3;

/// Everything that decides which primitive a convolution is. Shapes are logical: x [N, C, H, W], weight [O, C/g, KH,
/// KW], y [N, O, H', W'].
struct Convolution {
  Direction direction = Direction::forward;
  Shape x, weight, y;
  DType dtype = DType::f32;  ///< of activations and of the weights that the primitive reads
  std::array<std::int64_t, 2> stride{}, padding{}, dilation{};
  std::int64_t groups = 1;
  bool has_bias = false;
  bool relu = false;
  bool residual = false;    ///< y holds what is added to it before ReLU; a gradient of x has it apart
  bool statistics = false;  ///< Σ y and Σ y² of each channel are outputs too; of a gradient of x those for a norm
  bool normalized = false;  ///< x is scaled and shifted on the way in
  bool input_relu = false;  ///< and goes through a ReLU; so does, in a gradient of x with statistics, x
  int threads = 1;
  ConvolutionAlgorithm algorithm = ConvolutionAlgorithm::direct;

  std::string key() const;
};

Convolution convolution_of(const Graph& graph, const Node& node, int threads);

/// Places [h, w] of the kernel that see padding alone under every window, as most do where images have shrunk to 1×1:
/// the gradients of their weights are 0.
std::vector<std::array<std::int64_t, 2>> blind_taps(const Convolution& convolution);

/// A made primitive with the names of the layouts that it reads and writes.
struct ConvolutionPrimitive : ProductPrimitive {
  ConvolutionAlgorithm algorithm = ConvolutionAlgorithm::direct;
  Layout x_layout, weight_layout, y_layout;
};

/// The primitive for the convolution's algorithm and activations in the given layouts, or nullptr where oneDNN has
/// none. Made once per process and shared.
std::shared_ptr<const ConvolutionPrimitive> make_convolution(const Convolution& convolution, const Layout& x,
                                                             const Layout& y);
/// The best of the algorithms and layouts that the planner tries: the first that oneDNN runs with generated code. Falls
/// back to its matrix product and, last, its reference code. The convolution's own algorithm plays no part; Winograd
/// rounds so differently that it is never chosen by the way.
std::shared_ptr<const ConvolutionPrimitive> choose_convolution(const Convolution& convolution);

}  // namespace athanor::cpu
