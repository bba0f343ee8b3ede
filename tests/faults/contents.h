// What the saver saves at a step: several blocks' worth, so that a save is many writes, and different at every step.
#pragma once

#include "io/checkpoint_file.h"

namespace athanor::faults {

inline CheckpointContents contents_at(std::int64_t step) {
  constexpr std::int64_t kLarge = 700000;  // 2.8 MB; three of them take three writes
  CheckpointContents contents;
  contents.step = step;
  contents.epoch = 1;
  contents.samples = step * 64;
  contents.numbers = {{"seed", 7}};
  contents.reals = {{"best_accuracy", 0.25 * static_cast<double>(step)}};
  contents.recipe_text = "name: faults\n";
  contents.attributes = {{"plan_fingerprint", std::string(300, 'f')}};
  const auto add = [&](const char* group, const char* name, std::int64_t elements) {
    std::vector<float> values(static_cast<std::size_t>(elements));
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(step) + 1e-6f * static_cast<float>(i);
    contents.tensors.push_back({group, name, {elements}, std::move(values)});
  };
  add("parameters", "a.weight", kLarge);
  add("parameters", "b.weight", kLarge);
  add("statistics", "bn.mean", 16);
  add("optimizer/momentum", "a.weight", kLarge);
  return contents;
}

constexpr std::uint64_t kBytesOfOne = 9'000'000;

}  // namespace athanor::faults
