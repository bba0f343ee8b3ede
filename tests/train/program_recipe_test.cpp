// What a C++ program gives `train`: a recipe without a model, and no screen where it wants none.
#include <gmock/gmock.h>

#include "base/error.h"
#include "train/progress.h"
#include "train/recipe.h"

namespace athanor {
namespace {

const char* const kProgramText =
    "data: {name: glyphs}\ntrain: {epochs: 1, batch: 64}\noptimizer: {name: sgd, lr: 0.1}\n";

TEST(ProgramRecipe, NeedsNoModel) {
  const Recipe recipe = parse_recipe_without_model(kProgramText, "program");
  EXPECT_EQ(recipe.train.batch, 64);
  EXPECT_THAT(resolved_text(recipe), ::testing::HasSubstr("of a C++ program"));
}

TEST(ProgramRecipe, RefusesAModelThatWouldBeIgnored) {
  try {
    parse_recipe_without_model(std::string(kProgramText) + "model: {name: alchemy_net}\n", "program");
    FAIL() << "it was taken";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("program:4"));
  }
}

TEST(Progress, WithoutAStreamShowsNothing) {
  Progress progress(true, nullptr, 2, 1, 2);
  progress.step({.step = 1, .loss = 1.0});
  progress.evaluation({.step = 1, .split = "test"});
  progress.note("a note");
  progress.finish();
}

}  // namespace
}  // namespace athanor
