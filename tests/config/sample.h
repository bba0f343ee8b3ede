// Schemas and a recipe that the tests of config share. The schemas' names are the tests' own, so that they never meet
// those of the rooms.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "config/validate.h"

namespace athanor::config_test {

inline constexpr const char* kSample =
    "name: sample   # a comment\n"
    "train:\n"
    "  batch: 128\n"
    "  rate: 5e-4\n"
    "  precision: fp32\n"
    "  shuffle: true\n"
    "  mean: [0.5, 1]\n"
    "tool: {name: test_hammer, weight: 2, color: \"red: deep\"}\n"
    "steps:\n"
    "  - test_crop: {padding: 2}\n"
    "  - test_flip\n"
    "layers:\n"
    "  - test_conv: {channels: 32, kernel: [3, 3]}\n"
    "  - test_relu\n"
    "  - test_dense: 10\n"
    "  - test_block:\n"
    "      body:\n"
    "        - test_conv: {channels: 8}\n"
    "        - test_relu:\n"
    "      shortcut: []\n";

inline Schema train_schema() {
  return {.name = "train",
          .doc = "How long and how fast.",
          .fields = {integer("batch", std::nullopt, "Images of one update.").at_least(1),
                     real("rate", 0.1, "Learning rate.").above(0).at_most(1),
                     text("precision", "fp32", "Of the matrix work.").one_of({"fp32", "bf16"}),
                     boolean("shuffle", true, "A new order every epoch."),
                     reals("mean", std::vector<double>{0.0}, "Subtracted | from each channel.").of_length({1, 2}),
                     texts("match", std::vector<std::string>{}, "Patterns."), text("path", "", "A folder.")},
          .shorthand = {}};
}

/// Runs every reader on a tree of the sample's form.
inline void check_sample(const YamlNode& root, Problems& problems) {
  const YamlNode nothing;
  const auto part = [&](const char* key) -> const YamlNode& { return root.find(key) ? *root.find(key) : nothing; };
  validate(part("train"), train_schema(), "train", problems);
  validate_named(part("tool"), "test_tool", "tool", problems);
  validate_named_list(part("steps"), "test_step", "steps", problems);
  validate_layers(part("layers"), "layers", problems);
}

template <typename Action>
std::string usage_error(Action action) {
  try {
    action();
  } catch (const UsageError& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  ADD_FAILURE() << "no UsageError was thrown";
  return "";
}

inline bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace athanor::config_test
