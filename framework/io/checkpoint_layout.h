// The names that the writer and the reader of a checkpoint share. Internal to io/.
#pragma once

#include <array>
#include <cstddef>

namespace athanor::checkpoint_layout {

constexpr std::array<const char*, 3> kTensorGroups = {"parameters", "statistics", "average"};
constexpr const char* kOptimizer = "optimizer";  ///< holds one group of tensors for each slot
constexpr const char* kNumbers = "numbers";
constexpr const char* kReals = "reals";
constexpr const char* kAbout = "about";
constexpr const char* kRecipe = "recipe";
constexpr const char* kStep = "step";
constexpr const char* kEpoch = "epoch";
constexpr const char* kSamples = "samples";
constexpr std::size_t kMaxNameBytes = 1024;

}  // namespace athanor::checkpoint_layout
