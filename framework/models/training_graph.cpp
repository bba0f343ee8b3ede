#include "models/training_graph.h"

#include <string>
#include <utility>

#include "graph/builder.h"
#include "graph/passes/dead_code.h"
#include "graph/passes/fusion.h"
#include "graph/passes/gradient.h"
#include "kernels/sample_transform.h"

namespace athanor {
namespace {

[[noreturn]] void refuse(const ModelSpec& model, const std::string& message) {
  const std::string where = model.place.text();
  throw UsageError("{}{}: {}", where.empty() ? "" : where + ": ", model.title(), message);
}

/// What forward leaves for the loss.
struct Forward {
  ValueId labels = kNoValue;
  ValueId logits = kNoValue;  ///< float32 [N, classes]
};

/// One number per channel; one number stands for all channels.
std::vector<double> per_channel(const std::vector<double>& values, std::int64_t channels) {
  return values.size() == 1 ? std::vector<double>(static_cast<std::size_t>(channels), values[0]) : values;
}

/// All inputs first: ops such as dropout look for theirs by name.
ValueId add_inputs(Builder& builder, const GraphOptions& options, Forward& forward) {
  const std::int64_t n = options.batch;
  const ValueId images = builder.input("images", {n, options.channels, options.height, options.width}, DType::u8);
  const auto transform_bytes = static_cast<std::int64_t>(sizeof(kernels::SampleTransform));
  const ValueId transforms = builder.input("transforms", {n, transform_bytes}, DType::u8);
  forward.labels = builder.input("labels", {n}, DType::i32);
  builder.input("sample_indices", {n}, DType::i64);
  builder.input("epoch", {1}, DType::i64);
  const Scope scope(builder, "input");
  return builder.add1("prepare_input", {images, transforms},
                      {{"mean", per_channel(options.mean, options.channels)},
                       {"std", per_channel(options.std, options.channels)},
                       {"dtype", std::string(name_of(options.compute_dtype))}});
}

void check_input(const ModelSpec& model, const GraphOptions& options) {
  const Shape data{options.channels, options.height, options.width};
  if (model.input.rank() == 0 || model.input == data) return;
  refuse(model, fmt::format("its input is {}, the images of the data are {}", model.input.text(), data.text()));
}

void check_logits(const ModelSpec& model, const GraphOptions& options, const Shape& logits) {
  const Shape wanted{options.batch, options.classes};
  if (logits == wanted) return;
  if (logits.rank() != 2) {
    refuse(model,
           fmt::format("its output has shape {}, want {}: end with `global_avg_pool` or `flatten`, then `linear: {}`",
                       logits.text(), wanted.text(), options.classes));
  }
  refuse(model, fmt::format("its output has shape {}, want {}: it gives {} classes, the data has {}", logits.text(),
                            wanted.text(), logits[1], options.classes));
}

Forward build_forward(Builder& builder, const ModelSpec& model, const GraphOptions& options) {
  check_input(model, options);
  builder.compute_dtype = options.compute_dtype;
  builder.shards = options.shards;
  Forward forward;
  const ValueId x = add_inputs(builder, options, forward);
  forward.logits = build_model(builder, x, model);
  check_logits(model, options, builder.shape(forward.logits));
  if (builder.graph().value(forward.logits).dtype != DType::f32) {
    const Scope scope(builder, "logits");
    forward.logits = builder.add1("cast", {forward.logits}, {{"dtype", std::string(name_of(DType::f32))}});
  }
  return forward;
}

}  // namespace

Graph training_graph(const ModelSpec& model, const GraphOptions& options) {
  Graph graph;
  Builder builder(graph);
  const Forward forward = build_forward(builder, model, options);
  graph.loss = build_loss(builder, forward.logits, forward.labels, options.loss).mean;
  const Scope scope(builder, "metrics");
  const ValueId correct = builder.add1("count_correct", {forward.logits, forward.labels});
  graph.metrics = {{"loss", graph.loss}, {"correct", correct}};
  return fuse(remove_dead_code(differentiate(std::move(graph), 1.0 / static_cast<double>(options.shards))));
}

Graph evaluation_graph(const ModelSpec& model, const GraphOptions& options) {
  Graph graph;
  Builder builder(graph);
  builder.training = false;
  const Forward forward = build_forward(builder, model, options);
  const LossValues loss = build_loss(builder, forward.logits, forward.labels, options.loss);
  const Scope scope(builder, "metrics");
  const std::vector<ValueId> counts = builder.add("count_correct", {forward.logits, forward.labels});
  graph.outputs = {loss.per_sample, counts[1], forward.logits};
  return fuse(remove_dead_code(std::move(graph)));
}

}  // namespace athanor
