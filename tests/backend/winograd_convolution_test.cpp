// Convolutions by Winograd's algorithm, every implementation that the planner may take, against the double-precision
// reference.
#include <gtest/gtest.h>

#include "backend/cpu/convolution_candidates.h"
#include "backend/cpu/convolution_choices.h"
#include "backend/cpu/onednn.h"
#include "support/op_checks.h"
#include "support/temporary_folder.h"

namespace athanor::testing {
namespace {

struct Sizes {
  std::int64_t batch, in, out, height, width, padding;
};

/// Whole tiles and cut ones, images smaller than a tile, every padding, other channels behind than before.
const std::vector<Sizes> kSizes{{2, 16, 16, 8, 8, 1}, {3, 32, 16, 7, 9, 1},  {1, 16, 48, 13, 6, 0},
                                {2, 16, 32, 3, 3, 1}, {2, 64, 64, 5, 5, 2},  {1, 128, 32, 4, 4, 1},
                                {5, 32, 32, 1, 2, 1}, {1, 16, 16, 30, 31, 1}};

reference::Case case_of(const Sizes& sizes, bool has_bias, RandomStream& stream) {
  const auto& [batch, in, out, height, width, padding] = sizes;
  const std::vector<std::int64_t> one{1, 1}, pad{padding, padding};
  reference::Case made{{{"stride", one}, {"padding", pad}, {"dilation", one}},
                       {reference::uniform_tensor({batch, in, height, width}, stream),
                        reference::uniform_tensor({out, in, 3, 3}, stream)}};
  if (has_bias) made.inputs.push_back(reference::uniform_tensor({out}, stream));
  return made;
}

/// Takes candidate `place` wherever there is one, else the rule's, and counts how often there was.
class Taking {
 public:
  explicit Taking(std::size_t place)
      : choices_(folder_.text(), [this, place](std::span<const cpu::ProductCandidate> candidates, int) {
          std::vector<double> seconds(candidates.size(), 1.0);
          if (place < candidates.size()) {
            seconds[place] = 0.1;
            ++taken_;
          }
          return seconds;
        }) {}
  cpu::ConvolutionChoices* choices() { return &choices_; }
  int taken() const { return taken_; }

 private:
  int taken_ = 0;
  TemporaryFolder folder_;
  cpu::ConvolutionChoices choices_;
};

/// Candidates of a convolution beside the rule's, which is 0: with AVX-512 oneDNN's and ours, with AVX2 ours alone.
class WinogradConvolution : public ::testing::TestWithParam<std::size_t> {
 protected:
  template <typename Check>
  void check_all(const Check& check) {
    Taking taking(GetParam());
    for (std::size_t i = 0; i < kSizes.size(); ++i) {
      for (const int threads : {1, 2}) {
        RandomStream stream(31, Purpose::test, i, 0);
        check(case_of(kSizes[i], i % 2 == 0, stream), stream,
              {.threads = threads, .layout = cpu::blocked_layout(), .convolutions = taking.choices()});
        if (HasFatalFailure()) return;
      }
    }
    if (taking.taken() == 0) GTEST_SKIP() << "this processor has no such implementation";
  }
};

TEST_P(WinogradConvolution, ForwardEqualsTheReference) {
  check_all([](const reference::Case& given, RandomStream&, const RunOptions& options) {
    check_forward("conv2d", given, options);
  });
}

TEST_P(WinogradConvolution, GradientsEqualTheReference) {
  check_all([](const reference::Case& given, RandomStream& stream, const RunOptions& options) {
    check_gradient("conv2d", given, stream, options);
  });
}

TEST_P(WinogradConvolution, AReluBehindItIsPartOfIt) {
  check_all([](reference::Case given, RandomStream&, const RunOptions& options) {
    given.attributes.set("activation", std::string("relu"));
    check_forward("conv2d", given, options);
  });
}

INSTANTIATE_TEST_SUITE_P(Candidates, WinogradConvolution, ::testing::Values(1, 2));

}  // namespace
}  // namespace athanor::testing
