// A run of a second or less: a small convolutional network on 200 images of the built-in data set.
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "train/folders.h"
#include "train/trainer.h"

namespace athanor::testing {

/// 200 training images in batches of 32: 6 steps an epoch, 8 images dropped; 130 test images in batches of 48.
inline constexpr const char* kTinyRecipe = R"(
name: tiny
data: {name: glyphs, train_size: 200, test_size: 130, side: 16}
model:
  input: [1, 16, 16]
  layers:
    - conv: {channels: 4, kernel: 3, padding: 1}
    - batch_norm
    - relu
    - max_pool: {kernel: 4}
    - flatten
    - linear: 10
train: {epochs: 2, batch: 32, shards: 4, shard_threads: 1, seed: 1}
optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
eval: {every_epochs: 1, batch: 48}
)";
inline constexpr std::int64_t kTinySteps = 6, kTinyTest = 130;

inline Recipe tiny_recipe(const std::vector<std::string>& overrides = {}) {
  return parse_recipe(kTinyRecipe, "tiny.yaml", overrides);
}

inline Summary train_tiny(const std::filesystem::path& folder, const std::vector<std::string>& overrides = {}) {
  TrainOptions options;
  options.run = folder;
  options.quiet = true;
  return train(tiny_recipe(overrides), options);
}

/// The objects of metrics.jsonl, of one kind or (kind "") all.
inline std::vector<nlohmann::json> metrics_of(const std::filesystem::path& folder, const std::string& kind = "") {
  std::istringstream lines(read_file(folder / "metrics.jsonl"));
  std::vector<nlohmann::json> objects;
  for (std::string line; std::getline(lines, line);) {
    nlohmann::json object = nlohmann::json::parse(line);
    if (kind.empty() || object.at("kind") == kind) objects.push_back(std::move(object));
  }
  return objects;
}

/// What `act` throws, as text; fails the test where it throws nothing, or something else.
template <typename Thrown, typename Act>
std::string message_of(const Act& act) {
  try {
    act();
  } catch (const Thrown& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace athanor::testing
