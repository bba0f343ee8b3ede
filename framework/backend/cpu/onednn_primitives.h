// What oneDNN 2.6 and 3.x say differently, behind one interface: how a convolution or matrix product is asked for, and
// how a memory descriptor is read. All else that this back end uses of oneDNN is spelled alike in both.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace athanor::cpu {

enum class Direction : std::uint8_t { forward, backward_data, backward_weights };

/// How a convolution forms its sums. Each rounds in its own way, so which one is a choice of the plan.
enum class ConvolutionAlgorithm : std::uint8_t {
  direct,   ///< window by window
  gemm,     ///< as a matrix product of unfolded windows
  winograd  ///< Lavin and Gray 2016
};

/// "direct", "gemm", "winograd": as a plan says it.
std::string_view name_of(ConvolutionAlgorithm algorithm);
/// The algorithm of that name, or none.
std::optional<ConvolutionAlgorithm> find_algorithm(std::string_view name);

/// Of a convolution or matrix product y = weight · x + bias. A gradient has its value's place. Without a bias that one
/// is empty.
struct Operands {
  dnnl::memory::desc x, weight, bias, y;
};

/// A made primitive with what it reads and writes. Its scratchpad is an argument.
struct ProductPrimitive : Operands {
  dnnl::primitive primitive;
  dnnl::memory::desc scratch;
  std::string implementation;  ///< "onednn:jit:avx512_common"
};

/// Strides, padding before and behind, and dilation of height and width; a dilation of 0 skips nothing.
struct Window {
  dnnl::memory::dims stride, dilation, left, right;
};

struct ConvolutionRequest {
  Direction direction = Direction::forward;
  ConvolutionAlgorithm algorithm = ConvolutionAlgorithm::direct;
  Operands operands;
  Operands forward;  ///< of a forward convolution that exists, which oneDNN wants to see before it makes a gradient
  Window window;
  bool relu = false;  ///< forward only
  bool sum = false;   ///< forward only: adds to what y holds, before ReLU
};

struct InnerProductRequest {
  Direction direction = Direction::forward;
  Operands operands;
  Operands forward;  ///< as above
  bool relu = false;
};

/// oneDNN's first implementation with that algorithm, or none where it has none. Made for the calling thread's team.
std::optional<ProductPrimitive> make_primitive(const ConvolutionRequest& request);
std::optional<ProductPrimitive> make_primitive(const InnerProductRequest& request);

dnnl::memory::dims dims_of(const dnnl::memory::desc& desc);
dnnl::memory::data_type type_of(const dnnl::memory::desc& desc);
/// How a blocked layout orders elements: strides of what is outside the blocks, then the blocks of dimensions, the last
/// the fastest.
struct Blocking {
  dnnl::memory::dims strides, inner_blocks, inner_dims;
};
/// Of a descriptor, or nothing where its format is no blocking.
std::optional<Blocking> blocking_of(const dnnl::memory::desc& desc);
/// Of everything that a descriptor says; the same in every process.
std::uint64_t hash_of(const dnnl::memory::desc& desc);

}  // namespace athanor::cpu
