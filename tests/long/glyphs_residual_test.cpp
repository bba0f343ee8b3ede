// The built-in data set is hard enough to tell models apart: a small residual network, trained as a user trains it,
// learns what a linear model cannot (tests/data/glyphs_test.cpp holds that one below 70 %).
#include <gtest/gtest.h>

#include "launcher/program.h"

namespace athanor::launcher_test {
namespace {

/// The quickstart's network on half its images; 99.9 % with all of them.
TEST(Glyphs, ASmallResidualNetworkPasses97Percent) {
  const Folders folders;
  const Outcome outcome = run_program(folders, {"train", ATHANOR_SOURCE_DIR "/configs/glyphs/quickstart.yaml", "--run",
                                                "run", "--json", "data.train_size=6400", "train.epochs=3"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const double accuracy = outcome.json().at("accuracy").get<double>();
  std::printf("residual network on glyphs: %.2f %%\n", 100 * accuracy);
  EXPECT_GT(accuracy, 0.97);
}

}  // namespace
}  // namespace athanor::launcher_test
