// athanor plan: every shipped recipe, without its data and without training.
#include "program.h"

namespace athanor::launcher_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::vector<std::string> recipes() {
  std::vector<std::string> paths;
  const fs::path folder = ATHANOR_SOURCE_DIR "/configs";
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".yaml") paths.push_back(entry.path().lexically_relative(folder).string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

class ShippedRecipe : public ::testing::TestWithParam<std::string> {};

TEST_P(ShippedRecipe, PlansWithoutItsData) {
  const Folders folders;
  const Outcome outcome = run_program(folders, {"plan", ATHANOR_SOURCE_DIR "/configs/" + GetParam(), "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json plan = outcome.json();
  ASSERT_TRUE(plan.is_object()) << outcome.out;
  std::int64_t parameters = 0;
  double forward = 0;
  for (const auto& layer : plan.at("layers")) {
    parameters += layer.at("parameters").get<std::int64_t>();
    forward += layer.at("forward_flops").get<double>();
  }
  EXPECT_EQ(plan.at("parameters"), parameters);
  EXPECT_DOUBLE_EQ(plan.at("forward_flops_per_image").get<double>(), forward);
  EXPECT_EQ(plan.at("reference_steps"), 0);
  EXPECT_GT(plan.at("peak_bytes"), 0);
  EXPECT_EQ(plan.at("fingerprint").get<std::string>().size(), 32u);
  for (const auto& step : plan.at("steps")) EXPECT_NE(step.at("implementation"), "") << step;
  EXPECT_TRUE(files_below(folders.home()).empty());
  // The table of layers, which stands on standard error here, fits on a terminal and says how each is computed.
  const std::size_t begin = outcome.err.find("\nlayer "), end = outcome.err.find("peak memory");
  ASSERT_NE(begin, std::string::npos) << outcome.err;
  std::istringstream lines(outcome.err.substr(begin + 1, end - begin - 1));
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; }), 120) << line;
  }
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("onednn:"), HasSubstr("athanor")));
}

INSTANTIATE_TEST_SUITE_P(All, ShippedRecipe, ::testing::ValuesIn(recipes()), [](const auto& instance) {
  std::string name = instance.param;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
});

TEST(Plan, ShowsShapesCountsAndCostsOfAlchemyNet) {
  const Folders folders;
  write_text(folders.home() / "r.yaml", kTiny);
  const Outcome outcome = run_program(folders, {"plan", "r.yaml"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  // 3·3·1 weights of each of 32 filters and their biases; 26·26 positions, 2 FLOPs a multiply-add.
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("(3·3·1)·32 + 32 = 320"), HasSubstr("[N, 32, 26, 26]"),
                                 HasSubstr("5408·10 + 10 = 54,090"), HasSubstr("fingerprint "), HasSubstr("backward"),
                                 HasSubstr("onednn:"), HasSubstr("gradient buckets"), HasSubstr("peak")));
  EXPECT_THAT(outcome.out, ::testing::Not(HasSubstr("cross_entropy_backward")));
  EXPECT_THAT(run_program(folders, {"plan", "r.yaml", "--steps"}).out,
              AllOf(HasSubstr("op "), HasSubstr("athanor:cross_entropy_backward:")));
  EXPECT_THAT(
      run_program(folders, {"plan", "r.yaml", "--counters"}).out,
      AllOf(HasSubstr("bytes/conv2d "), HasSubstr("evaluation/steps/forward "), HasSubstr("run/conv2d/onednn:")));
  EXPECT_EQ(files_below(folders.home()), std::vector<std::string>{"r.yaml"});
}

TEST(Plan, SaysWhereTheDataIsMissingAndPlansAllTheSame) {
  const Folders folders;
  const Outcome outcome = run_program(folders, {"plan", ATHANOR_SOURCE_DIR "/configs/mnist/alchemy.yaml"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("it is not here"), HasSubstr("1×28×28, 10 classes")));
}

TEST(Plan, IsTheSameTwice) {
  const Folders folders;
  write_text(folders.home() / "r.yaml", kTiny);
  const Outcome first = run_program(folders, {"plan", "r.yaml", "--json"});
  const Outcome other = run_program(folders, {"plan", "r.yaml", "--json", "model.classes=10", "optimizer.lr=1"});
  EXPECT_EQ(first.json().at("fingerprint"), other.json().at("fingerprint"));
  EXPECT_EQ(first.json().at("counters"), other.json().at("counters"));
  const Outcome wider = run_program(folders, {"plan", "r.yaml", "--json", "train.batch=64"});
  EXPECT_NE(first.json().at("fingerprint"), wider.json().at("fingerprint"));
}

TEST(Plan, SaysWhatRecomputationWouldSave) {
  const Folders folders;
  write_text(folders.home() / "r.yaml",
             "data: {name: glyphs, train_size: 1000}\nmodel: {name: cifar_resnet, depth: 20}\n"
             "train: {batch: 100, shards: 2, shard_threads: 1}\noptimizer: {name: sgd, lr: 0.1}\neval: {batch: 10}\n");
  const Outcome kept = run_program(folders, {"plan", "r.yaml", "--json"});
  const Outcome again = run_program(folders, {"plan", "r.yaml", "--json", "train.recompute=true"});
  EXPECT_LT(again.json().at("peak_bytes"), kept.json().at("peak_bytes"));
  EXPECT_EQ(again.json().at("peak_bytes"), kept.json().at("peak_bytes_other_recompute"));
  EXPECT_EQ(kept.json().at("peak_bytes"), again.json().at("peak_bytes_other_recompute"));
  EXPECT_EQ(again.json().at("fingerprint"), kept.json().at("fingerprint"));
  EXPECT_THAT(kept.err, HasSubstr("with train.recompute=true"));
}

TEST(Plan, RefusesDevicesThatThisBuildLacks) {
  const Folders folders;
  write_text(folders.home() / "r.yaml", kTiny);
  const Outcome named = run_program(folders, {"plan", "r.yaml", "--device", "h100"});
  EXPECT_EQ(named.code, 2);
  EXPECT_THAT(named.err, AllOf(HasSubstr("h100"), HasSubstr("CUDA back end"), HasSubstr("--device cpu")));
  const Outcome cuda = run_program(folders, {"plan", "r.yaml", "--device", "cuda"});
  EXPECT_EQ(cuda.code, 5);
  EXPECT_THAT(cuda.err, HasSubstr("device=cpu"));
  EXPECT_EQ(run_program(folders, {"plan", "r.yaml", "device=cuda", "--device", "cpu"}).code, 0);
  EXPECT_EQ(run_program(folders, {"train", "r.yaml", "device=cuda"}).code, 5);
}

TEST(Plan, ThatIsLargerThanMemoryIsPrintedAndRefused) {
  const Folders folders;
  write_text(folders.home() / "r.yaml",
             "data: {name: glyphs, train_size: 100000000}\nmodel: {name: cifar_resnet, depth: 8}\n"
             "train: {batch: 50000000, shards: 1, shard_threads: 1}\noptimizer: {name: sgd, lr: 0.1}\n");
  const Outcome outcome = run_program(folders, {"plan", "r.yaml", "--json"});
  EXPECT_EQ(outcome.code, 5) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("DOES NOT FIT"), HasSubstr("the largest batch that fits is")));
  EXPECT_EQ(outcome.json().at("fits"), false);
}

}  // namespace
}  // namespace athanor::launcher_test
