// One number for "the same weights": SHA-256 over parameters and running statistics, the same on every machine and back
// end.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "base/shape.h"

namespace athanor {

/// A float32 tensor that can hand over its values.
struct NamedTensor {
  std::string name;                            ///< "stage2.block1.conv1.weight"
  Shape shape;                                 ///< logical (OIHW)
  std::function<void(std::span<float>)> read;  ///< fills shape.elements() values in logical order
};

/// Lower-case hex of the SHA-256 of, for every tensor in byte order of the names (which differ):
///   name, NUL, "float32", NUL,
///   number of dimensions as u32, every dimension as u64, outermost first,
///   values as IEEE 754 binary32, row-major
/// with all integers and values little-endian.
std::string weights_sha256(std::span<const NamedTensor> tensors);

}  // namespace athanor
