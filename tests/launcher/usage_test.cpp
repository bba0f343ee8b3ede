// What the program says to a command line that is nearly right, and to one that asks for the impossible.
#include "program.h"

namespace athanor::launcher_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// Runs `athanor ARGUMENTS` beside r.yaml (kTiny), which is refused with `code` and leaves nothing behind.
std::string refused(int code, const std::vector<std::string>& arguments, const std::string& recipe = kTiny) {
  const Folders folders;
  write_text(folders.home() / "r.yaml", recipe);
  const Outcome outcome = run_program(folders, arguments);
  EXPECT_EQ(outcome.code, code) << outcome.err;
  EXPECT_EQ(files_below(folders.home()), std::vector<std::string>{"r.yaml"});
  return outcome.err;
}

TEST(CommandLine, AnUnknownCommandNamesTheNearest) {
  EXPECT_THAT(refused(2, {"trian", "r.yaml"}), HasSubstr("unknown command 'trian'; did you mean 'train'?"));
  EXPECT_THAT(refused(2, {"bench", "stepp", "r.yaml"}), HasSubstr("unknown command 'stepp'; did you mean 'step'?"));
}

TEST(CommandLine, AFlagThatIsARecipesKeyIsTranslated) {
  EXPECT_THAT(refused(2, {"train", "r.yaml", "--epochs", "5"}), HasSubstr("did you mean train.epochs=5?"));
  EXPECT_THAT(refused(2, {"train", "r.yaml", "--lr=0.1"}), HasSubstr("did you mean optimizer.lr=0.1?"));
  EXPECT_THAT(refused(2, {"train", "r.yaml", "--max-steps", "3"}), HasSubstr("did you mean train.max_steps=3?"));
  EXPECT_THAT(refused(2, {"train", "r.yaml", "--jsn"}), HasSubstr("did you mean --json?"));
  EXPECT_THAT(refused(2, {"train", "r.yaml", "epochs=5"}), HasSubstr("unknown key; did you mean train.epochs?"));
}

TEST(CommandLine, OptionsOutOfRangeGiveTheRange) {
  EXPECT_THAT(refused(2, {"bench", "step", "r.yaml", "--seconds", "0"}), HasSubstr("from 0.01 to 86400, found '0'"));
  EXPECT_THAT(refused(2, {"bench", "loader", "r.yaml", "--workers", "0"}), HasSubstr("from 1 to 1024, found '0'"));
}

TEST(CommandLine, RunFoldersMustBeSensible) {
  EXPECT_THAT(refused(2, {"train", "r.yaml", "--run", ""}), HasSubstr("wanted a folder"));
  EXPECT_THAT(refused(2, {"train", "r.yaml", "--run", "~/here"}), HasSubstr("write ${HOME}"));
  EXPECT_THAT(refused(2, {"train", "~/none.yaml"}), HasSubstr("write ${HOME}"));
}

TEST(CommandLine, NamesThatLeadElsewhereAreRefused) {
  for (const char* name : {"a/b", "../up", "\"\"", "..", "-x"}) {
    EXPECT_THAT(refused(2, {"train", "r.yaml"}, tiny_with("name: tiny", std::string("name: ") + name)),
                AllOf(HasSubstr("r.yaml:1:7: name: "), HasSubstr("letters, digits, '.', '_' and '-'")));
  }
}

TEST(CommandLine, SettingsOfAnotherChoiceAreExplained) {
  const std::string recipe = tiny_with("lr: 0.05", "lr: 0.05, momentum: 0.9");
  EXPECT_THAT(refused(2, {"train", "r.yaml", "optimizer.name=adam"}, recipe),
              AllOf(HasSubstr("r.yaml:5:34: optimizer.momentum: unknown key; 'momentum' is a setting of "),
                    HasSubstr("sgd"), HasSubstr("optimizer='{name: adam, …}'")));
  EXPECT_THAT(refused(2, {"train", "r.yaml", "data.name=mnist"}), HasSubstr("data='{name: mnist, …}'"));
}

TEST(CommandLine, FailuresAreJsonTooWhereItIsAskedFor) {
  const Folders folders;
  write_text(folders.home() / "r.yaml", kTiny);
  const nlohmann::json refused = run_program(folders, {"train", "r.yaml", "--json", "train.epoch=2"}).json();
  EXPECT_EQ(refused.at("status"), "failed");
  EXPECT_EQ(refused.at("exit_code"), 2);
  EXPECT_THAT(refused.at("error").get<std::string>(), HasSubstr("train.epoch"));
  EXPECT_EQ(run_program(folders, {"train", "r.yaml", "--json", "--epochs", "2"}).json().at("exit_code"), 2);
}

TEST(RunFolder, OfSomeoneElseIsLeftAlone) {
  const Folders folders;
  write_text(folders.home() / "r.yaml", kTiny);
  write_text(folders.home() / "mine/log.txt", "my log");
  const auto before = files_below(folders.home());
  for (const char* command : {"train", "check"}) {
    const Outcome outcome = run_program(folders, {command, "r.yaml", "--run", "mine"});
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_THAT(outcome.out + outcome.err, HasSubstr("mine holds a 'log.txt' that is no run's"));
  }
  EXPECT_EQ(files_below(folders.home()), before);
}

TEST(MissingData, SaysWhereItWasLookedFor) {
  const std::string mnist = tiny_with("glyphs, train_size: 640, test_size: 203", "mnist");
  EXPECT_THAT(refused(3, {"train", "r.yaml"}, mnist),
              HasSubstr("ATHANOR_DATA is '/no-such-folder', which is no folder"));
  EXPECT_THAT(refused(3, {"train", "r.yaml", "data.path=~/mnist"}, mnist), HasSubstr("write ${HOME}"));
}

/// The first update leaves weights so large that all later ones overflow.
TEST(SkippedUpdates, AreCountedAndBadNumbersNamed) {
  const Folders folders;
  write_text(folders.home() / "r.yaml", kTiny);
  const Outcome outcome = run_program(folders, {"train", "r.yaml", "--run", "here", "optimizer.lr=1e30",
                                                "train.on_nonfinite=skip", "train.max_steps=4"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("4 in all (train.max_steps), 20 an epoch"), HasSubstr("epoch 1/1"),
                                 HasSubstr("Done, with 3 of 4 updates skipped: 4 steps, 0 epochs"),
                                 HasSubstr("loss       not finite in the last step"), Not(HasSubstr("nan"))));
  EXPECT_THAT(outcome.out, HasSubstr(std::string("  ") + ATHANOR_PROGRAM + " eval here\n")) << "as it was started";
}

TEST(NonFinite, TheScreenNamesAFewSamplesAndTheFilesAll) {
  const Folders folders;
  write_text(folders.home() / "r.yaml", kTiny);
  const Outcome outcome = run_program(folders, {"train", "r.yaml", "--run", "here", "optimizer.lr=1e30"});
  EXPECT_EQ(outcome.code, 7);
  EXPECT_THAT(outcome.err, HasSubstr(", … and 24 more (all are in log.txt)"));
  const auto summary = nlohmann::json::parse(read_file(folders.home() / "here/summary.json"));
  const std::string error = summary.at("error");
  EXPECT_THAT(error, Not(HasSubstr("more")));
  EXPECT_THAT(read_file(folders.home() / "here/log.txt"), HasSubstr(error));
}

}  // namespace
}  // namespace athanor::launcher_test
