#include "models/blocks.h"

#include <algorithm>
#include <string>
#include <vector>

#include "graph/layer.h"

namespace athanor::blocks {

ValueId conv(Builder& builder, ValueId x, const Conv& shape, std::string_view init, std::string_view name) {
  return build_layer(builder, x, "conv",
                     {{"channels", shape.channels},
                      {"kernel", std::vector<std::int64_t>{shape.kernel}},
                      {"stride", std::vector<std::int64_t>{shape.stride}},
                      {"padding", std::vector<std::int64_t>{shape.kernel / 2}},
                      {"bias", false},
                      {"init", std::string(init)}},
                     name);
}

ValueId batch_norm(Builder& builder, ValueId x, const BatchNorm& kind, std::string_view name) {
  return build_layer(builder, x, "batch_norm", {{"zero_init", kind.zero_gamma}, {"synchronized", kind.is_synchronized}},
                     name);
}

ValueId relu(Builder& builder, ValueId x, std::string_view name) {
  return build_layer(builder, x, "relu", {}, name);
}

ValueId squeeze_excite(Builder& builder, ValueId x, std::int64_t ratio, std::string_view init) {
  if (builder.shape(x).rank() != 4) builder.fail("squeeze_excite needs [N, C, H, W], got " + builder.shape(x).text());
  const std::int64_t channels = builder.shape(x)[1];
  const std::int64_t hidden = std::max<std::int64_t>(1, channels / ratio);
  ValueId scales = build_layer(builder, x, "global_avg_pool", {}, "pool");
  scales = build_layer(builder, scales, "linear", {{"features", hidden}, {"init", std::string(init)}}, "fc1");
  scales = relu(builder, scales, "relu");
  scales = classifier(builder, scales, channels, init, "fc2");
  scales = build_layer(builder, scales, "sigmoid", {}, "sigmoid");
  return builder.add1("scale", {x, scales});
}

ValueId classifier(Builder& builder, ValueId x, std::int64_t classes, std::string_view init, std::string_view name) {
  const std::string start(init == "he" ? "torch" : init);
  return build_layer(builder, x, "linear", {{"features", classes}, {"init", start}}, name);
}

}  // namespace athanor::blocks
