// A small network's checkpoint, files in a folder of their own, and errors as text.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "io/checkpoint_file.h"
#include "io/user_block.h"
#include "support/temporary_folder.h"

namespace athanor::test {

using testing::TemporaryFolder;

inline CheckpointTensor sample_tensor(const std::string& group, const std::string& name, const Shape& shape) {
  RandomStream stream(7, Purpose::test, 0, key_of(group + name));
  CheckpointTensor tensor{group, name, shape, {}};
  for (std::int64_t i = 0; i < shape.elements(); ++i) tensor.values.push_back(stream.uniform(-1.0f, 1.0f));
  return tensor;
}

/// Sorted as read_checkpoint returns it.
inline CheckpointContents sample_contents() {
  CheckpointContents contents;
  contents.tensors = {sample_tensor("parameters", "fc.bias", {10}),
                      sample_tensor("parameters", "fc.weight", {10, 64}),
                      sample_tensor("parameters", "stem.conv.weight", {16, 3, 3, 3}),
                      sample_tensor("parameters", "temperature", {}),
                      sample_tensor("statistics", "stem.bn.running_mean", {16}),
                      sample_tensor("average", "fc.bias", {10}),
                      sample_tensor("optimizer/exp_avg", "fc.bias", {10}),
                      sample_tensor("optimizer/exp_avg", "fc.weight", {10, 64}),
                      sample_tensor("optimizer/exp_avg_sq", "fc.bias", {10})};
  contents.recipe_text = "name: sample\ntrain: {epochs: 10}\n# \xc3\xa9t\xc3\xa9\n";
  contents.step = 468;
  contents.epoch = 10;
  contents.samples = (std::int64_t{1} << 40) + 3;
  contents.numbers = {{"seed", -1}, {"updates", std::numeric_limits<std::int64_t>::max()}};
  contents.reals = {{"best_accuracy", 0.1}, {"plateau.best", std::numeric_limits<double>::infinity()}};
  contents.attributes = {{"athanor_version", "0.1.0"}, {"hardware", ""}, {"plan_fingerprint", std::string(70000, 'a')}};
  return contents;
}

inline std::vector<std::byte> file_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::byte> bytes(std::filesystem::file_size(path));
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

inline void write_bytes(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

/// Whether both hold the same bits everywhere.
inline bool same_contents(const CheckpointContents& a, const CheckpointContents& b) {
  const auto same_bits = [](const auto& x, const auto& y) {
    return std::memcmp(&x.second, &y.second, sizeof x.second) == 0 && x.first == y.first;
  };
  const auto same_tensor = [](const CheckpointTensor& x, const CheckpointTensor& y) {
    return x.group == y.group && x.name == y.name && x.shape == y.shape && x.values.size() == y.values.size() &&
           std::memcmp(x.values.data(), y.values.data(), x.values.size() * sizeof(float)) == 0;
  };
  return a.recipe_text == b.recipe_text && a.step == b.step && a.epoch == b.epoch && a.samples == b.samples &&
         a.numbers == b.numbers && a.attributes == b.attributes &&
         std::equal(a.reals.begin(), a.reals.end(), b.reals.begin(), b.reals.end(), same_bits) &&
         std::equal(a.tensors.begin(), a.tensors.end(), b.tensors.begin(), b.tensors.end(), same_tensor);
}

/// Runs `call`, which must throw a StorageError (exit 4), and returns its message.
template <typename Call>
std::string storage_error_of(Call&& call) {
  try {
    call();
  } catch (const StorageError& error) {
    EXPECT_EQ(error.code(), ExitCode::storage);
    return error.what();
  }
  ADD_FAILURE() << "no StorageError";
  return "";
}

}  // namespace athanor::test
