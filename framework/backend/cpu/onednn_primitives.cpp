#include "backend/cpu/onednn_primitives.h"

#include <xxhash.h>

#include <array>
#include <utility>
#include <vector>

#include "backend/cpu/onednn.h"

namespace athanor::cpu {
namespace {

using dnnl::algorithm;
using dnnl::memory;
using dnnl::primitive_attr;

constexpr auto kForward = dnnl::prop_kind::forward_training;
constexpr std::array<std::pair<ConvolutionAlgorithm, std::string_view>, 3> kAlgorithms{
    {{ConvolutionAlgorithm::direct, "direct"},
     {ConvolutionAlgorithm::gemm, "gemm"},
     {ConvolutionAlgorithm::winograd, "winograd"}}};

/// oneDNN calls a matrix product of unfolded windows an implementation of the direct algorithm.
algorithm onednn_algorithm(ConvolutionAlgorithm ours) {
  return ours == ConvolutionAlgorithm::winograd ? algorithm::convolution_winograd : algorithm::convolution_direct;
}

void append_relu(dnnl::post_ops& post_ops) {
#if DNNL_VERSION_MAJOR >= 3
  post_ops.append_eltwise(algorithm::eltwise_relu, 0.0f, 0.0f);
#else
  post_ops.append_eltwise(1.0f, algorithm::eltwise_relu, 0.0f, 0.0f);
#endif
}

primitive_attr attributes_of(bool relu, bool sum = false) {
  primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops post_ops;
  if (sum) post_ops.append_sum(1.0f);
  if (relu) append_relu(post_ops);
  if (sum || relu) attributes.set_post_ops(post_ops);
  return attributes;
}

std::string implementation_of(const dnnl::primitive_desc_base& desc) {
  return std::string("onednn:") + desc.impl_info_str();
}

/// brgemm is generated code for one small product; a window is not unfolded for it.
bool is_gemm(const std::string& implementation) {
  return implementation.find("gemm") != std::string::npos && implementation.find("brgemm") == std::string::npos;
}

/// Of a convolution; nothing: the first implementation, whatever it is.
using Wanted = std::optional<ConvolutionAlgorithm>;

/// The descriptor at the first implementation of the algorithm, or an empty one.
template <typename PrimitiveDesc>
PrimitiveDesc find_implementation(PrimitiveDesc desc, Wanted wanted) {
  if (!desc || !wanted || *wanted == ConvolutionAlgorithm::winograd) return desc;
  while (is_gemm(implementation_of(desc)) != (*wanted == ConvolutionAlgorithm::gemm)) {
    if (!desc.next_impl()) return {};
  }
  return desc;
}

#if DNNL_VERSION_MAJOR >= 3

/// Makes the primitive descriptor of any kind but a gradient's: the last arguments are the operation's own.
template <typename Primitive, typename... Arguments>
typename Primitive::primitive_desc forward_desc(Wanted wanted, const primitive_attr& attributes,
                                                const Arguments&... arguments) {
  using Desc = typename Primitive::primitive_desc;
  return find_implementation(Desc(engine(), arguments..., attributes, true), wanted);
}

template <typename Primitive, typename Hint, typename... Arguments>
typename Primitive::primitive_desc backward_desc(Wanted wanted, const Hint& hint, const Arguments&... arguments) {
  using Desc = typename Primitive::primitive_desc;
  return find_implementation(Desc(engine(), arguments..., hint, attributes_of(false), true), wanted);
}

#else

/// Makes the primitive descriptor of any kind but a gradient's: the last arguments are the operation's own. oneDNN 2's
/// iterator over implementations keeps a pointer to the operation, which therefore lives until the search is over.
template <typename Primitive, typename... Arguments>
typename Primitive::primitive_desc forward_desc(Wanted wanted, const primitive_attr& attributes,
                                                const Arguments&... arguments) {
  using Desc = typename Primitive::primitive_desc;
  const typename Primitive::desc operation(arguments...);
  return find_implementation(Desc(operation, attributes, engine(), true), wanted);
}

template <typename Primitive, typename Hint, typename... Arguments>
typename Primitive::primitive_desc backward_desc(Wanted wanted, const Hint& hint, const Arguments&... arguments) {
  using Desc = typename Primitive::primitive_desc;
  const typename Primitive::desc operation(arguments...);
  return find_implementation(Desc(operation, attributes_of(false), engine(), hint, true), wanted);
}

#endif

template <typename Primitive, typename PrimitiveDesc>
ProductPrimitive finish(const PrimitiveDesc& desc, const Operands& operands) {
  ProductPrimitive made;
  made.primitive = Primitive(desc);
  made.bias = operands.bias;
  made.scratch = desc.scratchpad_desc();
  made.implementation = implementation_of(desc);
  return made;
}

template <typename Primitive, typename PrimitiveDesc>
ProductPrimitive finish_forward(const PrimitiveDesc& desc, const Operands& operands) {
  ProductPrimitive made = finish<Primitive>(desc, operands);
  made.x = desc.src_desc();
  made.weight = desc.weights_desc();
  made.y = desc.dst_desc();
  return made;
}

template <typename Primitive, typename PrimitiveDesc>
ProductPrimitive finish_backward_data(const PrimitiveDesc& desc, const Operands& operands) {
  ProductPrimitive made = finish<Primitive>(desc, operands);
  made.x = desc.diff_src_desc();
  made.weight = desc.weights_desc();
  made.y = desc.diff_dst_desc();
  return made;
}

template <typename Primitive, typename PrimitiveDesc>
ProductPrimitive finish_backward_weights(const PrimitiveDesc& desc, const Operands& operands) {
  ProductPrimitive made = finish<Primitive>(desc, operands);
  made.x = desc.src_desc();
  made.weight = desc.diff_weights_desc();
  made.y = desc.diff_dst_desc();
  return made;
}

std::optional<ProductPrimitive> make_convolution(const ConvolutionRequest& request) {
  const Operands &o = request.operands, &f = request.forward;
  const Window& w = request.window;
  const Wanted wanted = request.algorithm;
  const algorithm how = onednn_algorithm(request.algorithm);
  using Forward = dnnl::convolution_forward;
  if (request.direction == Direction::forward) {
    const auto desc = forward_desc<Forward>(wanted, attributes_of(request.relu, request.sum), kForward, how, o.x,
                                            o.weight, o.bias, o.y, w.stride, w.dilation, w.left, w.right);
    if (!desc) return std::nullopt;
    return finish_forward<Forward>(desc, o);
  }
  const auto hint = forward_desc<Forward>(std::nullopt, attributes_of(false), kForward, algorithm::convolution_direct,
                                          f.x, f.weight, f.bias, f.y, w.stride, w.dilation, w.left, w.right);
  if (request.direction == Direction::backward_data) {
    using Data = dnnl::convolution_backward_data;
    const auto desc = backward_desc<Data>(wanted, hint, how, o.x, o.weight, o.y, w.stride, w.dilation, w.left, w.right);
    if (!desc) return std::nullopt;
    return finish_backward_data<Data>(desc, o);
  }
  using Weights = dnnl::convolution_backward_weights;
  const auto desc =
      backward_desc<Weights>(wanted, hint, how, o.x, o.weight, o.bias, o.y, w.stride, w.dilation, w.left, w.right);
  if (!desc) return std::nullopt;
  return finish_backward_weights<Weights>(desc, o);
}

std::optional<ProductPrimitive> make_inner_product(const InnerProductRequest& request) {
  const Operands &o = request.operands, &f = request.forward;
  using Forward = dnnl::inner_product_forward;
  if (request.direction == Direction::forward) {
    const auto desc =
        forward_desc<Forward>(std::nullopt, attributes_of(request.relu), kForward, o.x, o.weight, o.bias, o.y);
    if (!desc) return std::nullopt;
    return finish_forward<Forward>(desc, o);
  }
  const auto hint = forward_desc<Forward>(std::nullopt, attributes_of(false), kForward, f.x, f.weight, f.bias, f.y);
  if (request.direction == Direction::backward_data) {
    using Data = dnnl::inner_product_backward_data;
    const auto desc = backward_desc<Data>(std::nullopt, hint, o.x, o.weight, o.y);
    if (!desc) return std::nullopt;
    return finish_backward_data<Data>(desc, o);
  }
  using Weights = dnnl::inner_product_backward_weights;
  const auto desc = backward_desc<Weights>(std::nullopt, hint, o.x, o.weight, o.bias, o.y);
  if (!desc) return std::nullopt;
  return finish_backward_weights<Weights>(desc, o);
}

/// oneDNN throws where operands fit no implementation at all.
template <typename Make>
std::optional<ProductPrimitive> made_if_any(const Make& make) {
  try {
    return make();
  } catch (const dnnl::error&) {
    return std::nullopt;
  }
}

}  // namespace

std::string_view name_of(ConvolutionAlgorithm algorithm) {
  for (const auto& [each, name] : kAlgorithms) {
    if (each == algorithm) return name;
  }
  return "";
}

std::optional<ConvolutionAlgorithm> find_algorithm(std::string_view name) {
  for (const auto& [algorithm, each] : kAlgorithms) {
    if (each == name) return algorithm;
  }
  return std::nullopt;
}

std::optional<ProductPrimitive> make_primitive(const ConvolutionRequest& request) {
  return made_if_any([&] { return make_convolution(request); });
}

std::optional<ProductPrimitive> make_primitive(const InnerProductRequest& request) {
  return made_if_any([&] { return make_inner_product(request); });
}

#if DNNL_VERSION_MAJOR >= 3

memory::dims dims_of(const memory::desc& desc) {
  return desc.get_dims();
}

memory::data_type type_of(const memory::desc& desc) {
  return desc.get_data_type();
}

std::optional<Blocking> blocking_of(const memory::desc& desc) {
  if (desc.get_format_kind() != memory::format_kind::blocked) return std::nullopt;
  return Blocking{desc.get_strides(), desc.get_inner_blks(), desc.get_inner_idxs()};
}

std::uint64_t hash_of(const memory::desc& desc) {
  std::vector<std::int64_t> words{static_cast<std::int64_t>(desc.get_data_type()),
                                  static_cast<std::int64_t>(desc.get_format_kind()),
                                  static_cast<std::int64_t>(desc.get_size())};
  std::vector<memory::dims> lists{desc.get_dims(), desc.get_padded_dims()};
  if (desc.get_format_kind() == memory::format_kind::blocked) {
    lists.insert(lists.end(), {desc.get_strides(), desc.get_inner_blks(), desc.get_inner_idxs()});
  }
  for (const memory::dims& list : lists) {
    words.push_back(static_cast<std::int64_t>(list.size()));
    words.insert(words.end(), list.begin(), list.end());
  }
  return XXH3_64bits(words.data(), words.size() * sizeof(words[0]));
}

#else

memory::dims dims_of(const memory::desc& desc) {
  return desc.dims();
}

memory::data_type type_of(const memory::desc& desc) {
  return desc.data_type();
}

std::optional<Blocking> blocking_of(const memory::desc& desc) {
  if (desc.data.format_kind != dnnl_blocked) return std::nullopt;
  const dnnl_blocking_desc_t& blocking = desc.data.format_desc.blocking;
  return Blocking{{blocking.strides, blocking.strides + desc.data.ndims},
                  {blocking.inner_blks, blocking.inner_blks + blocking.inner_nblks},
                  {blocking.inner_idxs, blocking.inner_idxs + blocking.inner_nblks}};
}

std::uint64_t hash_of(const memory::desc& desc) {
  return XXH3_64bits(&desc.data, sizeof(desc.data));
}

#endif

}  // namespace athanor::cpu
