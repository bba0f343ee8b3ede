// athanor eval: what a finished run says of itself, computed again from its file.
#include "program.h"

namespace athanor::launcher_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// Trains kTiny, with `overrides`, into `here`; returns its summary.
nlohmann::json train_tiny(const Folders& folders, std::vector<std::string> overrides = {}) {
  write_text(folders.home() / "r.yaml", kTiny);
  overrides.insert(overrides.begin(), {"train", "r.yaml", "--run", "here", "--json"});
  const Outcome outcome = run_program(folders, overrides);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return outcome.json();
}

/// The last evaluation of `split` in the run's metrics.
nlohmann::json last_evaluation(const Folders& folders, const std::string& split) {
  std::istringstream lines(read_file(folders.home() / "here/metrics.jsonl"));
  nlohmann::json last;
  for (std::string line; std::getline(lines, line);) {
    nlohmann::json object = nlohmann::json::parse(line);
    if (object.at("kind") == "eval" && object.at("split") == split) last = std::move(object);
  }
  return last;
}

void expect_equal(const nlohmann::json& evaluation, const nlohmann::json& line) {
  for (const char* key : {"accuracy", "loss", "top5", "samples", "step"}) {
    EXPECT_EQ(evaluation.at(key), line.at(key)) << key;
  }
}

fs::path only_checkpoint(const Folders& folders) {
  return fs::directory_iterator(folders.home() / "here/checkpoints")->path();
}

TEST(Eval, OfARunEqualsItsSummaryExactly) {
  const Folders folders;
  const nlohmann::json summary = train_tiny(folders);
  const Outcome outcome = run_program(folders, {"eval", "here", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json evaluation = outcome.json();
  EXPECT_EQ(evaluation.at("accuracy"), summary.at("accuracy"));
  EXPECT_EQ(evaluation.at("samples"), 203);
  EXPECT_EQ(evaluation.at("averaged"), false);
  expect_equal(evaluation, last_evaluation(folders, "test"));

  const Outcome of_file = run_program(folders, {"eval", only_checkpoint(folders).string(), "--json"});
  EXPECT_EQ(of_file.json().at("accuracy"), summary.at("accuracy"));
  const Outcome of_train = run_program(folders, {"eval", "here", "--split", "train", "--json"});
  EXPECT_EQ(of_train.json().at("samples"), 640);
}

TEST(Eval, OfANetworkWithBatchNormUsesAveragedWeightsAndTheHoldOut) {
  const Folders folders;
  const nlohmann::json summary =
      train_tiny(folders, {"model={name: cifar_resnet, depth: 8, width: 4}", "ema.decay=0.9", "data.validation=100"});
  const Outcome outcome = run_program(folders, {"eval", "here"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("averaged weights"), HasSubstr("203 samples")));
  const nlohmann::json test = run_program(folders, {"eval", "here", "--json"}).json();
  EXPECT_EQ(test.at("accuracy"), summary.at("accuracy"));
  expect_equal(test, last_evaluation(folders, "test"));
  const nlohmann::json held_out = run_program(folders, {"eval", "here", "--split", "validation", "--json"}).json();
  expect_equal(held_out, last_evaluation(folders, "validation"));
}

TEST(Eval, RefusesWhatItCannotEvaluate) {
  const Folders folders;
  train_tiny(folders, {"train.max_steps=2"});
  const Outcome other = run_program(folders, {"eval", "here", "model={name: philosopher_stone}"});
  EXPECT_EQ(other.code, 2) << other.err;
  EXPECT_THAT(other.err, AllOf(HasSubstr("is not a checkpoint of this network"), HasSubstr("is not in the file"),
                               HasSubstr("fc1.weight [512, 784]")));
  const Outcome held_out = run_program(folders, {"eval", "here", "--split", "validation"});
  EXPECT_EQ(held_out.code, 2);
  EXPECT_THAT(held_out.err, HasSubstr("data.validation is 0"));
  EXPECT_EQ(run_program(folders, {"eval", "nowhere"}).code, 2);
  EXPECT_EQ(run_program(folders, {"eval", "here", "train.batchh=3"}).code, 2);

  const fs::path file = only_checkpoint(folders);
  std::string bytes = read_file(file);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write_text(file, bytes);
  const Outcome damaged = run_program(folders, {"eval", "here"});
  EXPECT_EQ(damaged.code, 4);
  EXPECT_THAT(damaged.err, AllOf(HasSubstr(file.filename().string()), HasSubstr("holds no checkpoint that verifies")));
}

}  // namespace
}  // namespace athanor::launcher_test
