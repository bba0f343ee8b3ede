// Small helpers that the op files of the CPU share: which layouts to ask for, and how kernels see values.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "backend/cpu/op.h"

namespace athanor::cpu {

/// The layout of input `index`, for every input and output of the same rank as that input; plain for the others.
/// Backward ops follow what the forward pass saved: the incoming gradient is reordered, if any, and gradients keep one
/// layout.
std::function<NodeChoice(const ChooseContext&)> kernel_that_follows(std::size_t index, std::string name);

/// Whether the channel blocks of a layout divide the channels of an image; layouts without blocks always do.
bool divides(const Layout& layout, const Value& image);
/// The layout that convolutions prefer for an image: for ops whose inputs say nothing about it.
Layout preferred_layout(const Value& image);

inline kernels::ChannelView input_view(const Binding& b, std::size_t i) {
  return view_of(b.input_value(i), b.input_layouts[i]);
}
inline kernels::ChannelView output_view(const Binding& b, std::size_t i) {
  return view_of(b.output_value(i), b.output_layouts[i]);
}

/// What moves x, in layout `from`, to y in `to`: a kernel of ours, or oneDNN's reorder by its name.
std::string implementation_of_reorder(const Value& x, const Layout& from, const Value& y, const Layout& to);

/// Elements that a value occupies in its layout, padding included: what an element-wise kernel runs over.
std::int64_t stored_elements(const Value& value, const Layout& layout);

/// [height, width] of an attribute that holds one or two integers: `3` means [3, 3].
inline std::array<std::int64_t, 2> pair_of(const Attributes& attributes, std::string_view name) {
  const std::vector<std::int64_t>& values = attributes.integers(name);
  return {values.front(), values.back()};
}

}  // namespace athanor::cpu
