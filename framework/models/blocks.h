// The few pieces that the residual networks are made of, on top of the recipe's layers.
#pragma once

#include <cstdint>
#include <string_view>

#include "graph/builder.h"

namespace athanor::blocks {

struct Conv {
  std::int64_t channels = 0;
  std::int64_t kernel = 3;
  std::int64_t stride = 1;
};

/// Convolution "NAME" without bias, padded so that stride 1 keeps H and W; x [N, C, H, W]. `init`: he, xavier or torch.
ValueId conv(Builder& builder, ValueId x, const Conv& shape, std::string_view init, std::string_view name);

struct BatchNorm {
  bool is_synchronized = false;
  bool zero_gamma = false;  ///< the scale starts at 0
};

/// Batch normalisation "NAME".
ValueId batch_norm(Builder& builder, ValueId x, const BatchNorm& kind, std::string_view name);

/// ReLU "NAME".
ValueId relu(Builder& builder, ValueId x, std::string_view name);

/// x · sigmoid(fc2(relu(fc1(mean of each channel)))), x [N, C, H, W]; fc1 has max(1, C / ratio) features (Hu et al.
/// 2018). Parameters "fc1.*" and "fc2.*" under the builder's scope.
ValueId squeeze_excite(Builder& builder, ValueId x, std::int64_t ratio, std::string_view init);

/// The last layer "fc", [N, F] to [N, classes]. He's rule is for layers before a ReLU, so `he` starts it as `torch`
/// does.
ValueId classifier(Builder& builder, ValueId x, std::int64_t classes, std::string_view init,
                   std::string_view name = "fc");

}  // namespace athanor::blocks
