// The layouts of the CUDA back end, by name.
//
//   images [N, C, H, W]                          weights [O, I, KH, KW]
//   "nhwc"      channels last                    "ohwi"
//   "nhwc4", 8  channels padded with zeros       "ohwi4", "ohwi8"
//   "fold2_k7"  2 × 2 pixels in the channels     "ohwi_fold2"
//               of one, channels a multiple of 8
//
// A convolution with an odd window k, stride 2 and padding (k − 1) / 2 is, on folded images and weights, one with a
// window of (k + 1) / 2, stride 1 and no padding: with a tap of zeros before the others where the padding is odd, else
// behind them, output o is the sum over blocks a and places b in them of w[2a + b] · x[2(o + a) + b − front]. The zeros
// round the images are part of the layout, hence the k in its name. Few channels at a stride of 2 are what cuDNN is
// slow at; 16 channels at a stride of 1 are not.
#pragma once

#include "graph/graph.h"
#include "graph/planner.h"
#include "kernels/cuda/channel_order.h"

namespace athanor::cuda {

inline const Layout kNhwc = "nhwc";
inline const Layout kOhwi = "ohwi";
inline const Layout kFoldedWeights = "ohwi_fold2";

/// The folded layout of images that a convolution with a window of k × k reads: k odd, at least 3.
Layout folded_images(std::int64_t k);

/// Where the elements of a value of rank 4 lie.
kernels::cuda::ChannelOrder order_of(const Shape& shape, const Layout& layout);

/// "nhwc" or "ohwi" with channels that are padded or folded: a layout of the network's input and its weights only.
bool is_padded(const Layout& layout);
bool is_folded(const Layout& layout);

/// Elements that a value takes in a layout, padding included.
std::int64_t stored_elements(const Value& value, const Layout& layout);

}  // namespace athanor::cuda
