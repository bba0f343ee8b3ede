// The C++ twin of the golden training's data and weights draws what the Python script drew.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "support/parity_data.h"

namespace athanor::testing {
namespace {

nlohmann::json golden() {
  std::ifstream file(ATHANOR_SOURCE_DIR "/tests/parity/training.json");
  return nlohmann::json::parse(file);
}

TEST(TrainingParityData, FirstBatchIsTheGoldenOne) {
  const nlohmann::json want = golden().at("first_batch");
  const ParityBatch batch = parity_batch(1, 32);
  EXPECT_EQ(batch.labels, want.at("labels").get<std::vector<std::int32_t>>());
  EXPECT_EQ(std::accumulate(batch.images.begin(), batch.images.end(), std::int64_t{0}), want.at("pixel_sum"));
  const auto first = want.at("first_pixels").get<std::vector<std::uint8_t>>();
  EXPECT_EQ(std::vector<std::uint8_t>(batch.images.begin(), batch.images.begin() + 8), first);
}

void expect_weights(const std::string& run, const std::string& name, std::size_t elements, std::int64_t fan_in) {
  const nlohmann::json want = golden().at(run).at("initial").at(name);
  double sum = 0, squares = 0;
  for (const float value : parity_weights(name, elements, fan_in)) {
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  EXPECT_NEAR(sum, want.at("sum").get<double>(), 1e-11 * static_cast<double>(elements)) << name;
  EXPECT_NEAR(std::sqrt(squares), want.at("l2").get<double>(), 1e-11) << name;
}

TEST(TrainingParityData, FirstWeightsAreTheGoldenOnes) {
  expect_weights("alchemy_net", "conv1.weight", 32 * 9, 9);
  expect_weights("alchemy_net", "conv1.bias", 32, 9);
  expect_weights("alchemy_net", "fc.weight", 10 * 5408, 5408);
  expect_weights("resnet20", "stage3.block3.conv2.weight", 64 * 64 * 9, 64 * 9);
  expect_weights("resnet20", "fc.bias", 10, 64);
  expect_weights("se_resnet20", "stage2.block1.se.fc1.weight", 2 * 32, 32);
  expect_weights("se_resnet20", "stage2.block1.se.fc2.bias", 32, 2);
}

}  // namespace
}  // namespace athanor::testing
