#include "kernels/batch_norm.h"

namespace athanor::kernels {

std::size_t batch_norm_scratch_bytes(const ChannelView& view, int threads) {
  constexpr std::size_t kWidestVector = 16;
  const auto channels = static_cast<std::size_t>(view.channels());
  const auto slices = static_cast<std::size_t>(threads > 1 ? threads : 1);
  const std::size_t doubles = 4 * channels * slices;
  const std::size_t floats = channels * slices + kWidestVector + 6 * (channels + kWidestVector);
  return doubles * sizeof(double) + floats * sizeof(float);
}

}  // namespace athanor::kernels
