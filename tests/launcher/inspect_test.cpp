// athanor inspect and athanor bench checkpoint.
#include <limits>

#include "io/checkpoint_file.h"
#include "program.h"

namespace athanor::launcher_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

CheckpointContents small_contents() {
  CheckpointContents contents;
  contents.step = 1200;
  contents.epoch = 3;
  contents.samples = 76800;
  contents.numbers = {{"seed", 7}};
  contents.reals = {{"plateau.best", std::numeric_limits<double>::infinity()}};
  contents.attributes = {{"version", "0.1.0"}};
  contents.recipe_text = "name: small\n";
  contents.tensors = {{"parameters", "fc.weight", {2, 3}, std::vector<float>(6)},
                      {"parameters", "fc.bias", {2}, std::vector<float>(2)},
                      {"optimizer/momentum", "fc.weight", {2, 3}, std::vector<float>(6)}};
  return contents;
}

TEST(Inspect, PrintsWhatTheFileHolds) {
  const Folders folders;
  write_checkpoint(folders.home() / "a.h5", small_contents());
  const Outcome outcome = run_program(folders, {"inspect", "a.h5"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("verified"), HasSubstr("step 1,200, epoch 3"), HasSubstr("optimizer/momentum"),
                    HasSubstr("seed = 7"), HasSubstr("plateau.best = inf"), HasSubstr("version = 0.1.0"),
                    HasSubstr("name: small"), Not(HasSubstr("fc.weight"))));
  EXPECT_THAT(run_program(folders, {"inspect", "a.h5", "--tensors"}).out, HasSubstr("optimizer/momentum/fc.weight"));
}

TEST(Inspect, TellsProgramsTheSame) {
  const Folders folders;
  const WrittenCheckpoint written = write_checkpoint(folders.home() / "a.h5", small_contents());
  const nlohmann::json json = run_program(folders, {"inspect", "a.h5", "--json", "--tensors"}).json();
  EXPECT_EQ(json.at("verified"), true);
  EXPECT_EQ(json.at("bytes"), written.bytes);
  EXPECT_EQ(json.at("step"), 1200);
  EXPECT_EQ(json.at("groups").at("parameters"), nlohmann::json({{"tensors", 2}, {"values", 8}, {"bytes", 32}}));
  EXPECT_EQ(json.at("reals").at("plateau.best"), "inf");
  EXPECT_EQ(json.at("recipe"), "name: small\n");
  EXPECT_EQ(json.at("tensors").at(1).at("shape"), nlohmann::json({2, 3}));
}

TEST(Inspect, ADamagedFileIsExitFourAndAMissingOneTwo) {
  const Folders folders;
  write_checkpoint(folders.home() / "a.h5", small_contents());
  fs::resize_file(folders.home() / "a.h5", 3000);
  const Outcome damaged = run_program(folders, {"inspect", "a.h5", "--json"});
  EXPECT_EQ(damaged.code, 4);
  EXPECT_THAT(damaged.err, AllOf(HasSubstr("a.h5"), HasSubstr("truncated")));
  EXPECT_EQ(damaged.json().at("exit_code"), 4);
  EXPECT_EQ(run_program(folders, {"inspect", "nowhere.h5"}).code, 2);
}

TEST(BenchCheckpoint, MeasuresAndLeavesNothing) {
  const Folders folders;
  write_text(folders.home() / "r.yaml", kTiny);
  const Outcome outcome = run_program(folders, {"bench", "checkpoint", "r.yaml", "--rounds", "1", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const char* what : {"stall", "write", "verify", "read"}) {
    EXPECT_GT(outcome.json().at(what).at("ratio"), 0) << what;
  }
  EXPECT_GT(outcome.json().at("file_bytes"), outcome.json().at("state_bytes"));
  EXPECT_EQ(files_below(folders.home()), std::vector<std::string>{"r.yaml"});
}

}  // namespace
}  // namespace athanor::launcher_test
