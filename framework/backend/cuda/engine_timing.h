// Which of a library's engines runs a product fastest on this GPU, measured.
#pragma once

#include <memory>

#include "backend/cuda/device.h"

namespace athanor::cuda {

struct TimedEngine {
  std::shared_ptr<const Product> product;  ///< nullptr: no engine can run the spec
  double seconds = 0;                      ///< of one run; 0: not timed
};

/// Times the library's favourites on buffers of random numbers, for some 60 ms. Where there is no choice, no GPU or too
/// little memory, the first that can be made.
TimedEngine fastest_engine(Device& device, const ProductSpec& spec);

}  // namespace athanor::cuda
