// In which layouts convolutions read images, and what that means for the image that the network is given.
#pragma once

#include "backend/cuda/layouts.h"
#include "graph/graph.h"

namespace athanor::cuda::ops {

/// What conv2d or conv2d_backward_weights reads x in, where it now lies in `now` (empty: free to choose).
Layout images_layout(const Graph& graph, const Node& node, const Layout& now);

/// The weights that go with images: "ohwi" for "nhwc", "ohwi4" for "nhwc4", "ohwi_fold2" for "fold2_k7".
Layout weights_for(const Layout& images);

/// The layout of an image that is made for its readers: what they want if they agree, else padded where it has few
/// channels.
Layout input_layout(const Graph& graph, ValueId image);

}  // namespace athanor::cuda::ops
