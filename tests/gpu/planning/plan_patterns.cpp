// Plans every convolution of the shipped recipes, and of ResNet-50 at the batch that its figures are for, on a GPU that
// is not there:
//     plan_patterns DEVICE.json
// One line for each distinct product, then a table by type and fusion. Exit status 1 where a layer cannot be planned.
// tests/gpu/planning/run makes the driver that this needs.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <set>

#include "backend/cuda/op.h"
#include "base/text_file.h"
#include "data/dataset.h"
#include "gpu/planning/planning_device.h"
#include "graph/op.h"
#include "models/training_graph.h"
#include "train/recipe.h"
#include "train/session.h"

namespace athanor::testing {
namespace {

namespace fs = std::filesystem;

struct Network {
  std::string name;
  ModelSpec model;
  GraphOptions options;
  std::int64_t evaluation_batch = 1;  ///< images of one shard
};

Network network_of(const fs::path& path) {
  const Recipe recipe = read_recipe(path.string());
  const auto info = describe_dataset(recipe.data.set.name, recipe.data.set.attributes);
  if (!info) throw DataError("{}: the shape of {} is not known without its files", path.string(), recipe.data.set.name);
  const std::int64_t shards = std::max<std::int64_t>(1, recipe.train.shards);
  return {.name = fs::relative(path, ATHANOR_SOURCE_DIR "/configs").string(),
          .model = model_of(recipe),
          .options = {.batch = recipe.train.batch / shards,
                      .channels = info->channels,
                      .height = info->height,
                      .width = info->width,
                      .classes = info->classes,
                      .loss = {recipe.loss.name, recipe.loss.attributes},
                      .shards = shards},
          .evaluation_batch = (recipe.eval.batch + shards - 1) / shards};
}

Network resnet50(std::int64_t batch) {
  Network network{.name = fmt::format("ResNet-50, batch {}", batch)};
  network.model.name = "resnet";
  network.model.attributes = {{"depth", std::int64_t{50}}};
  network.options = {.batch = batch, .channels = 3, .height = 224, .width = 224, .classes = 1000};
  network.evaluation_batch = batch;
  return network;
}

std::vector<Network> networks() {
  std::vector<Network> all{resnet50(256)};
  for (const auto& entry : fs::recursive_directory_iterator(ATHANOR_SOURCE_DIR "/configs")) {
    if (entry.path().extension() == ".yaml") all.push_back(network_of(entry.path()));
  }
  std::sort(all.begin() + 1, all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return all;
}

/// Lets each product of the graph choose its engines. Says which layers cannot.
int plan_products(const std::string& name, const Graph& graph, cuda::EngineChoice& engines) {
  int failures = 0;
  for (const Node& node : graph.nodes) {
    if (!node.op->name.starts_with("conv2d") && !node.op->name.starts_with("linear")) continue;
    std::vector<Layout> now(node.inputs.size());
    const NodeId producer = graph.value(node.inputs[0]).producer;
    const bool is_first = producer >= 0 && graph.node(producer).op->name == "prepare_input";
    if (!is_first && graph.value(node.inputs[0]).shape.rank() == 4) now[0] = cuda::kNhwc;
    try {
      cuda::find_cuda_op(node.op->name)->choose({{graph, node, now}, engines, {}});
    } catch (const DeviceError& error) {
      fmt::print("FAILED {}: {}\n", name, error.what());
      ++failures;
    }
  }
  return failures;
}

/// Each fp16 convolution with the sums that a batch norm behind it takes: what the rewriting of a graph asks for.
void plan_statistics(PlanningDevice& device, cuda::EngineChoice& engines) {
  std::vector<cuda::ConvolutionSpec> specs;
  for (const auto& [text, pattern] : device.patterns()) {
    const auto* spec = std::get_if<cuda::ConvolutionSpec>(&pattern.spec);
    if (spec == nullptr || spec->direction != cuda::Direction::forward || spec->type != DType::f16) continue;
    if (!spec->bias && !spec->relu) specs.push_back(*spec);
  }
  for (cuda::ConvolutionSpec& spec : specs) {
    spec.statistics = true;
    engines.choose(spec);
  }
}

/// Megabytes that a product reads and writes at least.
double megabytes(const cuda::ProductSpec& spec) {
  double bytes = 0;
  for (const std::size_t tensor : cuda::tensor_bytes(spec)) bytes += static_cast<double>(tensor);
  return bytes / 1e6;
}

/// "conv forward+bias+relu fp16": what a line of the table counts.
std::string kind_of(const std::string& text) {
  std::size_t end = 0;
  for (int word = 0; word < 3 && end != std::string::npos; ++word) end = text.find(' ', end + 1);
  return text.substr(0, end);
}

void print(const PlanningDevice& device) {
  std::map<std::string, std::array<int, 2>> table;
  for (const auto& [text, pattern] : device.patterns()) {
    if (std::holds_alternative<cuda::MatmulSpec>(pattern.spec)) continue;
    const bool is_planned = !pattern.engine.empty();
    ++table[kind_of(text)][is_planned ? 0 : 1];
    fmt::print("{} {}: {:.2f} GFLOP, {:.1f} MB, {}\n", is_planned ? "planned" : "falls back", text,
               cuda::flops_of(pattern.spec) / 1e9, megabytes(pattern.spec),
               is_planned ? fmt::format("{} engines, {}, workspace {} bytes", pattern.engines, pattern.engine,
                                        pattern.workspace_bytes)
                          : pattern.failure);
  }
  fmt::print("\n{:<44} planned  not\n", "pattern");
  for (const auto& [kind, counts] : table) fmt::print("{:<44} {:>7} {:>4}\n", kind, counts[0], counts[1]);
}

int run(const std::string& properties) {
  PlanningDevice device(read_text(properties));
  cuda::EngineChoice engines(device, "");
  int failures = 0;
  for (const Network& network : networks()) {
    for (const DType type : {DType::f16, DType::bf16, DType::f32}) {
      GraphOptions options = network.options;
      options.compute_dtype = type;
      failures += plan_products(network.name, training_graph(network.model, options), engines);
      options.batch = network.evaluation_batch;
      failures += plan_products(network.name, evaluation_graph(network.model, options), engines);
    }
  }
  plan_statistics(device, engines);
  print(device);
  fmt::print("{}: {} distinct products, {} layers without a plan\n", fs::path(properties).stem().string(),
             device.patterns().size(), failures);
  return failures == 0 && !device.patterns().empty() ? 0 : 1;
}

}  // namespace
}  // namespace athanor::testing

int main(int count, char** arguments) {
  if (count != 2) {
    fmt::print(stderr, "usage: plan_patterns DEVICE.json\n");
    return 2;
  }
  try {
    return athanor::testing::run(arguments[1]);
  } catch (const std::exception& error) {
    fmt::print(stderr, "plan_patterns: {}\n", error.what());
    return 1;
  }
}
