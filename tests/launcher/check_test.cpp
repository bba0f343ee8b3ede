// athanor check: a line for each thing, all of them even where an early one fails.
#include "data/data_files.h"
#include "program.h"

namespace athanor::launcher_test {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

Outcome check(const Folders& folders, const std::string& recipe, std::vector<std::string> arguments = {}) {
  write_text(folders.home() / "r.yaml", recipe);
  arguments.insert(arguments.begin(), {"check", "r.yaml"});
  const Outcome outcome = run_program(folders, arguments);
  EXPECT_EQ(files_below(folders.home()), std::vector<std::string>{"r.yaml"});
  return outcome;
}

TEST(Check, OfASoundRecipeHasOnlyGoodLines) {
  const Folders folders;
  const Outcome outcome = check(folders, kTiny, {"--deep"});
  EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
  for (const char* what : {"recipe", "data", "images", "batch", "model", "memory", "device", "disk", "ranks"}) {
    EXPECT_THAT(outcome.out, ContainsRegex(std::string("ok +") + what));
  }
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("640 train"), HasSubstr("54,410 parameters"), Not(HasSubstr("FAIL"))));
}

TEST(Check, GoesOnBehindMissingDataAndReportsItsCode) {
  const Folders folders;
  const Outcome outcome = check(folders, tiny_with("glyphs, train_size: 640, test_size: 203", "mnist"));
  EXPECT_EQ(outcome.code, 3) << outcome.out;
  EXPECT_THAT(outcome.out, AllOf(ContainsRegex("FAIL +data"), ContainsRegex("ok +model"), ContainsRegex("ok +memory"),
                                 ContainsRegex("ok +disk"), ContainsRegex("ok +ranks")));
}

TEST(Check, ReportsTheFirstFailuresCodeAndTheOthersToo) {
  const Folders folders;
  const Outcome outcome =
      check(folders, tiny_with("classes: 10", "classes: 7"), {"device=cuda", "--run", "r.yaml/inside", "--json"});
  EXPECT_EQ(outcome.code, 5) << outcome.out;
  const nlohmann::json json = outcome.json();
  EXPECT_EQ(json.at("ok"), false);
  std::vector<std::string> failed;
  for (const auto& line : json.at("checks")) {
    if (line.at("status") == "failed") failed.push_back(line.at("what"));
  }
  EXPECT_THAT(failed, ::testing::IsSupersetOf({"device", "model", "disk"}));
}

TEST(Check, OfARecipeThatDoesNotReadSaysSo) {
  const Folders folders;
  const Outcome outcome = check(folders, tiny_with("epochs: 2", "epoch: 2"));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.out, AllOf(ContainsRegex("FAIL +recipe"), HasSubstr("r.yaml:4:9"), ContainsRegex("-- +data"),
                                 ContainsRegex("ok +ranks")));
}

TEST(Check, NamesMemoryModelAndRunFolder) {
  const Folders folders;
  const Outcome memory = check(folders, tiny_with("train_size: 640", "train_size: 9000000"), {"train.batch=8000000"});
  EXPECT_EQ(memory.code, 5) << memory.out;
  EXPECT_THAT(memory.out, AllOf(ContainsRegex("FAIL +memory"), HasSubstr("the largest batch that fits")));
  const Outcome model = check(folders, tiny_with("classes: 10", "classes: 7"));
  EXPECT_EQ(model.code, 2) << model.out;
  EXPECT_THAT(model.out, AllOf(ContainsRegex("FAIL +model"), ContainsRegex("-- +memory"), ContainsRegex("ok +disk")));
}

}  // namespace
}  // namespace athanor::launcher_test
