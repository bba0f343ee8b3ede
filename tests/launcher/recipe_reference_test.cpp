// docs/recipe.md is what the program prints.
#include "program.h"

namespace athanor::launcher_test {
namespace {

TEST(RecipeReference, IsCurrent) {
  const Folders folders;
  const Outcome outcome = run_program(folders, {"recipe-reference"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(outcome.out == read_file(ATHANOR_SOURCE_DIR "/docs/recipe.md"))
      << "docs/recipe.md is not current; run: build/athanor recipe-reference > docs/recipe.md";
  for (const char* key : {"`cifar_resnet`", "`max_pool`", "`one_cycle`", "`horizontal_flip`", "`adamw`", "`glyphs`"}) {
    EXPECT_NE(outcome.out.find(key), std::string::npos) << key;
  }
}

}  // namespace
}  // namespace athanor::launcher_test
