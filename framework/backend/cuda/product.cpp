#include "backend/cuda/product.h"

#include <fmt/format.h>

namespace athanor::cuda {
namespace {

std::string_view short_name(DType type) {
  switch (type) {
    case DType::f32:
      return "fp32";
    case DType::bf16:
      return "bf16";
    case DType::f16:
      return "fp16";
    default:
      return name_of(type);
  }
}

std::string_view name_of(Direction direction) {
  switch (direction) {
    case Direction::forward:
      return "forward";
    case Direction::backward_data:
      return "backward-data";
    case Direction::backward_weights:
      return "backward-weights";
  }
  return "";
}

std::string_view name_of(Epilogue epilogue) {
  switch (epilogue) {
    case Epilogue::none:
      return "";
    case Epilogue::bias:
      return "+bias";
    case Epilogue::bias_relu:
      return "+bias+relu";
    case Epilogue::bias_gelu:
      return "+bias+gelu";
  }
  return "";
}

/// "conv forward+bias+relu fp16 256x64x56x56 -> 256x64x56x56 k3x3 s1x1 p1:1x1:1 d1x1 g1 deterministic"
std::string text(const ConvolutionSpec& s) {
  std::string line = fmt::format("conv {}", name_of(s.direction));
  if (s.bias) line += "+bias";
  if (s.relu) line += "+relu";
  if (s.statistics) line += "+statistics";
  line += fmt::format(" {}", short_name(s.type));
  if (s.direction == Direction::backward_weights) line += fmt::format(">{}", short_name(s.gradient));
  line += fmt::format(" {}x{}x{}x{} -> {}x{}x{}x{} k{}x{} s{}x{} p{}:{}x{}:{} d{}x{} g{}", s.batch, s.channels,
                      s.height, s.width, s.batch, s.out_channels, s.out_height, s.out_width, s.kernel[0], s.kernel[1],
                      s.stride[0], s.stride[1], s.pad_begin[0], s.pad_end[0], s.pad_begin[1], s.pad_end[1],
                      s.dilation[0], s.dilation[1], s.groups);
  if (s.tf32) line += " tf32";
  if (s.deterministic) line += " deterministic";
  return line;
}

/// "matmul+bias fp16>fp16 m256 n1000 k2048 NT"
std::string text(const MatmulSpec& s) {
  return fmt::format("matmul{} {}>{} m{} n{} k{} {}{}{}", name_of(s.epilogue), short_name(s.type), short_name(s.output),
                     s.m, s.n, s.k, s.transpose_a ? 'T' : 'N', s.transpose_b ? 'T' : 'N', s.tf32 ? " tf32" : "");
}

double flops(const ConvolutionSpec& s) {
  return 2.0 * static_cast<double>(s.batch * s.out_channels * s.out_height * s.out_width) *
         static_cast<double>(s.channels / s.groups * s.kernel[0] * s.kernel[1]);
}

double flops(const MatmulSpec& s) {
  return 2.0 * static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k);
}

std::size_t bytes_of(std::int64_t elements, DType type) {
  return static_cast<std::size_t>(elements) * size_of(type);
}

std::vector<std::size_t> bytes(const ConvolutionSpec& s) {
  const std::int64_t weights = s.out_channels * s.kernel[0] * s.kernel[1] * (s.channels / s.groups);
  const std::size_t x = bytes_of(s.batch * s.channels * s.height * s.width, s.type);
  const std::size_t y = bytes_of(s.batch * s.out_channels * s.out_height * s.out_width, s.type);
  const std::size_t w = bytes_of(weights, s.type);
  if (s.direction == Direction::backward_data) return {y, w, x};
  if (s.direction == Direction::backward_weights) return {x, y, bytes_of(weights, s.gradient)};
  std::vector<std::size_t> tensors{x, w, y};
  if (s.bias) tensors.push_back(bytes_of(s.out_channels, DType::f32));
  if (s.statistics) tensors.insert(tensors.end(), 2, bytes_of(s.out_channels, DType::f32));
  return tensors;
}

std::vector<std::size_t> bytes(const MatmulSpec& s) {
  std::vector<std::size_t> tensors{bytes_of(s.m * s.k, s.type), bytes_of(s.k * s.n, s.type),
                                   bytes_of(s.m * s.n, s.output)};
  if (s.epilogue != Epilogue::none) tensors.push_back(bytes_of(s.n, s.output));
  if (s.epilogue == Epilogue::bias_gelu) tensors.push_back(bytes_of(s.m * s.n, s.output));
  return tensors;
}

}  // namespace

std::string text_of(const ProductSpec& spec) {
  return std::visit([](const auto& s) { return text(s); }, spec);
}

double flops_of(const ProductSpec& spec) {
  return std::visit([](const auto& s) { return flops(s); }, spec);
}

std::vector<std::size_t> tensor_bytes(const ProductSpec& spec) {
  return std::visit([](const auto& s) { return bytes(s); }, spec);
}

}  // namespace athanor::cuda
