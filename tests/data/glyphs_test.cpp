#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "data/dataset.h"
#include "data/sampler.h"

namespace athanor {
namespace {

std::unique_ptr<Dataset> glyphs(Split split, std::int64_t size, std::int64_t channels = 1, std::int64_t side = 28,
                                std::int64_t seed = 0) {
  return open_dataset(
      "glyphs", {{"train_size", size}, {"test_size", size}, {"channels", channels}, {"side", side}, {"seed", seed}},
      split);
}

std::vector<std::uint8_t> image(const Dataset& dataset, std::int64_t index) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(dataset.info().image_bytes()));
  dataset.read(index, pixels);
  return pixels;
}

TEST(Glyphs, ImagesAreAFunctionOfSeedSplitAndIndex) {
  const auto dataset = glyphs(Split::train, 100);
  const auto base = image(*dataset, 7);
  EXPECT_EQ(base, image(*glyphs(Split::train, 100000), 7));
  EXPECT_NE(base, image(*dataset, 17));
  EXPECT_NE(base, image(*glyphs(Split::test, 100), 7));
  EXPECT_NE(base, image(*glyphs(Split::train, 100, 1, 28, 1), 7));
}

// The bits of an image are part of every result on this data set: a change needs another fingerprint ("glyphs 1").
TEST(Glyphs, BitsStayAsTheyAre) {
  const auto hash = [](const Dataset& dataset) {
    std::uint64_t sum = 0;
    for (std::int64_t i = 0; i < 100; ++i) {
      const auto pixels = image(dataset, i);
      sum = sum * 31 + key_of({reinterpret_cast<const char*>(pixels.data()), pixels.size()});
    }
    return sum;
  };
  EXPECT_EQ(hash(*glyphs(Split::train, 100)), 1438928357179318164u);
  EXPECT_EQ(hash(*glyphs(Split::train, 100, 3, 32)), 12027939662221152153u);
}

TEST(Glyphs, EverySizeDrawsInkOnEveryClass) {
  for (const std::int64_t side : {16, 28, 32, 64}) {
    for (const std::int64_t channels : {1, 3}) {
      const auto dataset = glyphs(Split::test, 10, channels, side);
      EXPECT_EQ(dataset->info().image_bytes(), channels * side * side);
      for (std::int64_t i = 0; i < 10; ++i) {
        EXPECT_EQ(dataset->label(i), i);
        const auto pixels = image(*dataset, i);
        const auto [low, high] = std::minmax_element(pixels.begin(), pixels.end());
        EXPECT_GT(*high - *low, 60) << "class " << i << ", side " << side;
      }
    }
  }
}

TEST(Glyphs, TwoChannelsAreRefused) {
  EXPECT_THROW(glyphs(Split::train, 10, 2), UsageError);
}

/// Multinomial logistic regression on pixels scaled to zero mean: `steps` of one image each.
class LinearModel {
 public:
  explicit LinearModel(std::size_t inputs) : inputs_(inputs), weights_(10 * (inputs + 1)) {}

  int classify(const std::vector<float>& x, std::array<float, 10>& scores) const {
    for (std::size_t c = 0; c < 10; ++c) {
      const float* w = weights_.data() + c * (inputs_ + 1);
      float sum = w[inputs_];
#pragma omp simd reduction(+ : sum)
      for (std::size_t i = 0; i < inputs_; ++i) sum += w[i] * x[i];
      scores[c] = sum;
    }
    return static_cast<int>(std::max_element(scores.begin(), scores.end()) - scores.begin());
  }

  void learn(const std::vector<float>& x, int label, float rate) {
    std::array<float, 10> scores;
    const float highest = scores[static_cast<std::size_t>(classify(x, scores))];
    float total = 0;
    for (float& score : scores) total += score = std::exp(score - highest);
    for (std::size_t c = 0; c < 10; ++c) {
      const float step = rate * (scores[c] / total - (static_cast<int>(c) == label ? 1.f : 0.f));
      float* w = weights_.data() + c * (inputs_ + 1);
#pragma omp simd
      for (std::size_t i = 0; i < inputs_; ++i) w[i] -= step * x[i];
      w[inputs_] -= step;
    }
  }

 private:
  std::size_t inputs_;
  std::vector<float> weights_;
};

/// All images, scaled to [−1, 1].
std::vector<std::vector<float>> scaled_images(const Dataset& dataset) {
  std::vector<std::vector<float>> all;
  for (std::int64_t i = 0; i < dataset.size(); ++i) {
    auto& scaled = all.emplace_back();
    for (const std::uint8_t pixel : image(dataset, i)) scaled.push_back(pixel * (2 / 255.f) - 1);
  }
  return all;
}

double linear_accuracy(const Dataset& train, const Dataset& test, std::uint64_t epochs) {
  constexpr float kRate = 0.002f;
  const auto train_images = scaled_images(train), test_images = scaled_images(test);
  LinearModel model(train_images[0].size());
  for (std::uint64_t epoch = 0; epoch < epochs; ++epoch) {
    const Permutation order = epoch_order(0, epoch, train_images.size());
    for (std::size_t k = 0; k < train_images.size(); ++k) {
      const std::uint64_t index = order(k);
      model.learn(train_images[index], train.label(static_cast<std::int64_t>(index)), kRate);
    }
  }
  std::int64_t correct = 0;
  std::array<float, 10> scores;
  for (std::size_t i = 0; i < test_images.size(); ++i) {
    correct += model.classify(test_images[i], scores) == test.label(static_cast<std::int64_t>(i));
  }
  return static_cast<double>(correct) / static_cast<double>(test.size());
}

TEST(Glyphs, LinearModelStaysUnder70Percent) {
  EXPECT_LT(linear_accuracy(*glyphs(Split::train, 20000), *glyphs(Split::test, 2000), 4), 0.70);
}

// So that the test above can fail: the same regression does learn by heart what it has the parameters for.
TEST(Glyphs, LinearModelLearnsAFewImagesByHeart) {
  const auto few = glyphs(Split::train, 200);
  EXPECT_GT(linear_accuracy(*few, *few, 60), 0.95);
}

}  // namespace
}  // namespace athanor
