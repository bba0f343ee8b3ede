// ATHANOR_FINISHED_MARKER: the file is there when, and only when, a job went well.
#include "program.h"

namespace athanor::launcher_test {
namespace {

using ::testing::HasSubstr;

/// The program with the variable set to `marker`.
Outcome run_with_marker(const Folders& folders, const fs::path& marker, const std::vector<std::string>& arguments) {
  setenv("ATHANOR_FINISHED_MARKER", marker.c_str(), 1);
  const Outcome outcome = run_program(folders, arguments);
  unsetenv("ATHANOR_FINISHED_MARKER");
  return outcome;
}

TEST(FinishedMarker, IsLeftByARunThatIsDoneAndByEveryOtherCommandThatWentWell) {
  const Folders folders;
  write_text(folders.home() / "r.yaml", kTiny);
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"train", "r.yaml", "train.max_steps=2", "--run", "x"},
        {"train", "r.yaml", "train.max_steps=2", "--run", "x"},
        {"check", "r.yaml"}}) {
    const fs::path marker = folders.home() / "marker";
    const Outcome outcome = run_with_marker(folders, marker, arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_TRUE(fs::remove(marker)) << arguments[0];
  }
}

TEST(FinishedMarker, IsNotLeftByAFailure) {
  const Folders folders;
  write_text(folders.home() / "r.yaml", kTiny);
  const fs::path marker = folders.home() / "marker";
  EXPECT_EQ(run_with_marker(folders, marker, {"train", "r.yaml", "train.batch=-1", "--run", "x"}).code, 2);
  EXPECT_EQ(run_with_marker(folders, marker, {"train", "--no-such-option"}).code, 2);
  EXPECT_FALSE(fs::exists(marker));
}

TEST(FinishedMarker, ThatCannotBeMadeMakesTheJobFail) {
  const Folders folders;
  write_text(folders.home() / "r.yaml", kTiny);
  const Outcome outcome = run_with_marker(folders, folders.home() / "r.yaml" / "marker", {"check", "r.yaml"});
  EXPECT_EQ(outcome.code, 4);
  EXPECT_THAT(outcome.err, HasSubstr("ATHANOR_FINISHED_MARKER"));
  EXPECT_THAT(outcome.err, HasSubstr("r.yaml/marker"));
}

}  // namespace
}  // namespace athanor::launcher_test
