// Initialisation: a function of (seed, name, position), with the distribution that the rule says.
#include "models/initialize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"

namespace athanor {
namespace {

std::vector<float> start(const std::string& name, const Shape& shape, const Initializer& rule, std::uint64_t seed = 0) {
  const Value value{.name = name, .shape = shape, .role = Role::parameter, .initializer = rule};
  std::vector<float> numbers(static_cast<std::size_t>(shape.elements()));
  initialize(value, seed, numbers);
  return numbers;
}

const Initializer kUniform{.kind = "uniform", .value = 0, .bound = 0.25};
const Initializer kNormal{.kind = "normal", .value = 0, .bound = 0.5};

TEST(Initialize, DependsOnSeedAndNameAlone) {
  EXPECT_EQ(start("a.weight", {100}, kNormal), start("a.weight", {100}, kNormal));
  EXPECT_NE(start("a.weight", {100}, kNormal), start("b.weight", {100}, kNormal));
  EXPECT_NE(start("a.weight", {100}, kNormal, 1), start("a.weight", {100}, kNormal, 2));
}

TEST(Initialize, AnElementDependsOnItsPositionNotOnTheSize) {
  for (const Initializer& rule : {kUniform, kNormal}) {
    const std::vector<float> few = start("w", {7}, rule), many = start("w", {4, 5}, rule);
    EXPECT_EQ(std::memcmp(few.data(), many.data(), few.size() * sizeof(float)), 0);
  }
}

TEST(Initialize, NumbersComeFromTheKeyedBlocks) {
  const RandomStream stream(3, Purpose::initialize, 0, key_of("w"));
  EXPECT_EQ(start("w", {6}, kUniform, 3)[5], (2 * uniform_from(stream.block(1)[1]) - 1) * 0.25f);
}

TEST(Initialize, ConstantsFillEverything) {
  const Initializer ones{.kind = "constant", .value = 1, .bound = 0};
  EXPECT_EQ(start("bn.weight", {3}, ones), std::vector<float>(3, 1.0f));
}

// 40,000 numbers: the standard error of the mean is σ / 200, that of the variance about σ² · √2 / 200; six of each.
void expect_moments(const std::vector<float>& numbers, double sigma) {
  double sum = 0, squares = 0;
  for (const float x : numbers) sum += x, squares += double{x} * x;
  const double n = static_cast<double>(numbers.size());
  EXPECT_NEAR(sum / n, 0, 6 * sigma / std::sqrt(n));
  EXPECT_NEAR(squares / n, sigma * sigma, 6 * sigma * sigma * std::sqrt(2 / n));
}

TEST(Initialize, DistributionsHaveTheirMoments) {
  const std::vector<float> uniform = start("u", {40000}, kUniform);
  expect_moments(uniform, 0.25 / std::sqrt(3.0));
  for (const float x : uniform) ASSERT_LE(std::abs(x), 0.25f);
  expect_moments(start("n", {40000}, kNormal), 0.5);
}

}  // namespace
}  // namespace athanor
