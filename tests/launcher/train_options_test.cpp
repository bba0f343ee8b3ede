// train --resume and --init, as a user types them.
#include "program.h"

namespace athanor::launcher_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Trained {
  Trained() {
    write_text(folders.home() / "r.yaml", kTiny);
    EXPECT_EQ(run_program(folders, {"train", "r.yaml", "--run", "here"}).code, 0);
  }
  Outcome train(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"train", "r.yaml"});
    return run_program(folders, arguments);
  }
  Folders folders;
  std::string file = "here/checkpoints/step-000000020.h5";
};

TEST(TrainOptions, AFinishedRunIsDoneUnlessItIsToStartOverOrGoBack) {
  Trained trained;
  EXPECT_THAT(trained.train({"--run", "here"}).out, HasSubstr("already done"));
  const Outcome back = trained.train({"--run", "here", "--resume", trained.file, "--json"});
  EXPECT_EQ(back.code, 0) << back.err;
  EXPECT_THAT(back.err, HasSubstr("goes on from here/checkpoints/step-000000020.h5, step 20 of 40"));
  EXPECT_TRUE(fs::exists(trained.folders.home() / "here/previous-1/checkpoints/step-000000040.h5"));
  const Outcome over = trained.train({"--run", "here", "--resume", "never", "--json"});
  EXPECT_EQ(over.json().at("weights_sha256"), back.json().at("weights_sha256"));
  EXPECT_TRUE(fs::exists(trained.folders.home() / "here/previous-2/metrics.jsonl"));
}

TEST(TrainOptions, InitStartsFromWeights) {
  Trained trained;
  const Outcome outcome = trained.train({"--run", "there", "--init", trained.file});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out + outcome.err, HasSubstr("started from the weights of " + trained.file + ", step 20"));
}

TEST(TrainOptions, WhatCannotBeReadIsNamedAndNothingIsMade) {
  Trained trained;
  write_text(trained.folders.home() / "junk.h5", "no checkpoint");
  for (const char* option : {"--resume", "--init"}) {
    for (const char* file : {"nowhere.h5", "junk.h5"}) {
      const Outcome outcome = trained.train({"--run", "there", option, file});
      EXPECT_EQ(outcome.code, std::string(file) == "junk.h5" ? 4 : 2) << outcome.err;
      EXPECT_THAT(outcome.err, HasSubstr(file));
    }
  }
  const Outcome both = trained.train({"--run", "there", "--resume", trained.file, "--init", trained.file});
  EXPECT_EQ(both.code, 2);
  EXPECT_THAT(both.err, AllOf(HasSubstr("--resume"), HasSubstr("--init")));
  const Outcome other = trained.train({"--run", "there", "--resume", trained.file, "train.seed=7"});
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.err, AllOf(HasSubstr("train.seed is 0 there and 7 here"), HasSubstr("--init")));
  EXPECT_FALSE(fs::exists(trained.folders.home() / "there"));
}

}  // namespace
}  // namespace athanor::launcher_test
