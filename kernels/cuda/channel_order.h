// Where the elements of images and weights lie in a GPU's memory.
#pragma once

#include <cstdint>

namespace athanor::kernels::cuda {

/// The place of element (n, c, y, x) of images [N, C, H, W] or weights [O, I, KH, KW].
///
/// Channels last, they lie in [N, height, width, channels], and channels from C on are zero. Folded, a block of
/// fold × fold pixels lies in the channels of one: pixel (y, x) in that of row (y + front) / fold and column
/// (x + front) / fold, at channel ((y + front) % fold · fold + (x + front) % fold) · C + c. Places of no pixel are
/// zero.
struct ChannelOrder {
  bool channels_last = false;  ///< else [N, C, H, W], without padding or folding
  std::int64_t channels = 0;   ///< in memory
  std::int64_t height = 0;     ///< in memory
  std::int64_t width = 0;      ///< in memory
  std::int64_t fold = 1;
  std::int64_t front = 0;  ///< rows and columns of zeros before the first pixel
};

}  // namespace athanor::kernels::cuda
