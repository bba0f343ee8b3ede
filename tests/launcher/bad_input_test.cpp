// Bad input, as a user meets it: the exit code, the words that lead to the fix, and nothing left behind.
#include "data/data_files.h"
#include "program.h"

namespace athanor::launcher_test {
namespace {

using test::Bytes;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// What every refusal has in common: the code, nothing made, nothing on standard output.
Outcome refused(int code, const std::string& recipe, std::vector<std::string> arguments = {},
                const fs::path& data = "/no-such-folder") {
  const Folders folders;
  write_text(folders.home() / "r.yaml", recipe);
  arguments.insert(arguments.begin(), {"train", "r.yaml"});
  const Outcome outcome = run_program(folders, arguments, data);
  EXPECT_EQ(outcome.code, code) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(files_below(folders.home()), std::vector<std::string>{"r.yaml"});
  return outcome;
}

TEST(BadRecipe, UnknownKeyGivesThePlaceAndTheNearestName) {
  EXPECT_THAT(refused(2, tiny_with("epochs: 2", "epoch: 2")).err,
              AllOf(HasSubstr("r.yaml:4:9"), HasSubstr("train.epoch"), HasSubstr("'epochs'")));
}

TEST(BadRecipe, WrongTypeGivesThePlaceAndWhatIsWanted) {
  EXPECT_THAT(refused(2, tiny_with("batch: 32", "batch: many")).err,
              AllOf(HasSubstr("r.yaml:4:"), HasSubstr("train.batch"), HasSubstr("integer"), HasSubstr("many")));
}

TEST(BadRecipe, OutOfRangeGivesTheRange) {
  EXPECT_THAT(refused(2, tiny_with("batch: 32", "batch: 0")).err,
              AllOf(HasSubstr("r.yaml:4:"), HasSubstr("train.batch"), HasSubstr("1")));
  EXPECT_THAT(refused(2, tiny_with("lr: 0.05", "lr: -0.05")).err,
              AllOf(HasSubstr("r.yaml:5:"), HasSubstr("optimizer.lr"), HasSubstr("-0.05"), HasSubstr("0")));
  EXPECT_THAT(refused(2, tiny_with("classes: 10", "classes: 0")).err,
              AllOf(HasSubstr("r.yaml:3:"), HasSubstr("model.classes"), HasSubstr("1")));
}

TEST(BadRecipe, MissingFileIsNamed) {
  const Folders folders;
  const Outcome outcome = run_program(folders, {"train", "nowhere.yaml"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("cannot read nowhere.yaml"), HasSubstr("check the path")));
  EXPECT_TRUE(files_below(folders.home()).empty());
}

TEST(BadRecipe, DuplicateKeyGivesBothLines) {
  EXPECT_THAT(refused(2, kTiny + "optimizer: {name: adam}\n").err,
              AllOf(HasSubstr("r.yaml:7:1"), HasSubstr("'optimizer' is given twice, first in line 5")));
}

TEST(BadRecipe, TabGivesItsPlace) {
  EXPECT_THAT(refused(2, "train:\n\tepochs: 1\n").err, AllOf(HasSubstr("r.yaml:2:1"), HasSubstr("tab")));
}

TEST(BadRecipe, AllProblemsAreReportedAtOnce) {
  std::string recipe = tiny_with("epochs: 2", "epoch: 2");
  recipe.replace(recipe.find("lr: 0.05"), 8, "lr: fast");
  recipe += "evaluation: {}\n";
  EXPECT_THAT(refused(2, recipe).err, AllOf(HasSubstr("r.yaml:4:9"), HasSubstr("r.yaml:5:"), HasSubstr("r.yaml:7:1")));
}

TEST(BadRecipe, OverrideOfAKeyThatDoesNotExistNamesTheNearest) {
  EXPECT_THAT(refused(2, kTiny, {"optimizer.lrr=0.1"}).err, AllOf(HasSubstr("lrr"), HasSubstr("'lr'")));
  EXPECT_THAT(refused(2, kTiny, {"optimiser.lr=0.1"}).err, AllOf(HasSubstr("optimiser"), HasSubstr("'optimizer'")));
}

TEST(BadRecipe, BatchThatDoesNotFitSaysWhatDoes) {
  EXPECT_THAT(refused(2, kTiny, {"train.batch=1000"}).err,
              AllOf(HasSubstr("train.batch"), HasSubstr("640 training images"), HasSubstr("works is 640")));
  EXPECT_THAT(refused(2, kTiny, {"train.shards=5"}).err,
              AllOf(HasSubstr("32"), HasSubstr("5 equal shards"), HasSubstr("30 or 35"), HasSubstr("train.shards=4")));
}

std::string layered(const std::string& layers) {
  return "data: {name: glyphs, train_size: 640, test_size: 200}\nmodel:\n  input: [1, 28, 28]\n  layers:\n" + layers +
         "train: {batch: 32, shards: 2}\noptimizer: {name: sgd, lr: 0.1}\n";
}

TEST(BadNetwork, ThatDoesNotFitTheDataNamesLayerPlaceAndShapes) {
  EXPECT_THAT(refused(2, layered("    - conv: {channels: 4, kernel: 31}\n    - flatten\n    - linear: 10\n")).err,
              AllOf(HasSubstr("conv1"), HasSubstr("r.yaml:5:"), HasSubstr("28, 28"), HasSubstr("31")));
  std::string other = layered("    - flatten\n    - linear: 10\n");
  other.replace(other.find("[1, 28, 28]"), 11, "[3, 32, 32]");
  EXPECT_THAT(refused(2, other).err, AllOf(HasSubstr("r.yaml:"), HasSubstr("[3, 32, 32]"), HasSubstr("[1, 28, 28]")));
  EXPECT_THAT(refused(2, layered("    - flatten\n    - linear: 7\n")).err, AllOf(HasSubstr("7"), HasSubstr("10")));
}

TEST(BadNetwork, ResidualBranchesOfDifferentShapeAreBothGiven) {
  EXPECT_THAT(
      refused(2,
              layered("    - residual: {body: [{conv: {channels: 4, kernel: 3}}]}\n    - flatten\n    - linear: 10\n"))
          .err,
      AllOf(HasSubstr("residual1"), HasSubstr("r.yaml:5:"), HasSubstr("4, 26, 26"), HasSubstr("1, 28, 28")));
}

/// An MNIST of 40 + 20 images, whole.
std::map<std::string, Bytes> whole_mnist() {
  const auto labels = [](std::size_t count) {
    Bytes bytes(count);
    for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(i % 10);
    return bytes;
  };
  return {{"train-images-idx3-ubyte", test::idx_file(0x803, {40, 28, 28}, test::pattern(40 * 784))},
          {"train-labels-idx1-ubyte", test::idx_file(0x801, {40}, labels(40))},
          {"t10k-images-idx3-ubyte", test::idx_file(0x803, {20, 28, 28}, test::pattern(20 * 784))},
          {"t10k-labels-idx1-ubyte", test::idx_file(0x801, {20}, labels(20))}};
}

const std::string kMnist =
    "data: {name: mnist}\nmodel: {name: alchemy_net}\ntrain: {epochs: 1, batch: 20, shards: 2}\n"
    "optimizer: {name: sgd, lr: 0.1}\n";

std::string refused_mnist(const std::map<std::string, Bytes>& files) {
  const test::TemporaryFolder data;
  fs::create_directories(data / "mnist");
  for (const auto& [name, bytes] : files) test::write_file(data / ("mnist/" + name), bytes);
  return refused(3, kMnist, {}, data.text()).err;
}

TEST(DamagedIdx, IsNamedWithOffsetFoundAndWanted) {
  auto magic = whole_mnist();
  magic["train-labels-idx1-ubyte"] = magic["train-images-idx3-ubyte"];
  EXPECT_THAT(refused_mnist(magic), AllOf(HasSubstr("train-labels-idx1-ubyte"), HasSubstr("0x0803"),
                                          HasSubstr("want 0x0801"), HasSubstr("offset 0")));
  auto truncated = whole_mnist();
  truncated["train-images-idx3-ubyte"].resize(1000);
  EXPECT_THAT(refused_mnist(truncated),
              AllOf(HasSubstr("train-images-idx3-ubyte"), HasSubstr("offset 1000"), HasSubstr("want")));
  auto trailing = whole_mnist();
  trailing["t10k-labels-idx1-ubyte"].push_back(0);
  EXPECT_THAT(refused_mnist(trailing), AllOf(HasSubstr("t10k-labels-idx1-ubyte"), HasSubstr("offset 28")));
  auto label = whole_mnist();
  label["train-labels-idx1-ubyte"][8 + 3] = 10;
  EXPECT_THAT(refused_mnist(label), AllOf(HasSubstr("train-labels-idx1-ubyte"), HasSubstr("offset 11"), HasSubstr("10"),
                                          HasSubstr("0 to 9")));
  auto count = whole_mnist();
  count["train-labels-idx1-ubyte"] = test::idx_file(0x801, {39}, Bytes(39));
  EXPECT_THAT(refused_mnist(count), AllOf(HasSubstr("train-images-idx3-ubyte"), HasSubstr("40"), HasSubstr("want 39")));
  count["train-images-idx3-ubyte.gz"] = test::gzipped(count["train-images-idx3-ubyte"]);
  count.erase("train-images-idx3-ubyte");
  EXPECT_THAT(refused_mnist(count), HasSubstr("train-images-idx3-ubyte.gz: offset 4")) << "the file that is there";
  auto packed = whole_mnist();
  Bytes gzip = test::gzipped(packed["train-images-idx3-ubyte"]);
  packed.erase("train-images-idx3-ubyte");
  gzip[gzip.size() / 2] ^= 0x55;
  packed["train-images-idx3-ubyte.gz"] = gzip;
  EXPECT_THAT(refused_mnist(packed), AllOf(HasSubstr("train-images-idx3-ubyte.gz"), HasSubstr("offset")));
  EXPECT_THAT(refused_mnist({}), HasSubstr("labels-idx1-ubyte"));
  auto huge = whole_mnist();
  huge["train-labels-idx1-ubyte"] = test::idx_file(0x801, {0xFFFFFFFF}, Bytes(40));
  huge["train-images-idx3-ubyte"] = test::idx_file(0x803, {0xFFFFFFFF, 28, 28}, test::pattern(40 * 784));
  EXPECT_THAT(refused_mnist(huge), HasSubstr("train-labels-idx1-ubyte"));
  auto mixed = whole_mnist();
  mixed["train-images-idx3-ubyte"] = test::idx_file(0x803, {40, 30, 28}, test::pattern(40 * 840));
  EXPECT_THAT(refused_mnist(mixed), AllOf(HasSubstr("1×30×28"), HasSubstr("1×28×28")));
}

TEST(DamagedCifar, ThatIsNoMultipleOfTheRecordIsNamed) {
  const test::TemporaryFolder data;
  fs::create_directories(data / "cifar10");
  test::write_file(data / "cifar10/data_batch_1.bin", Bytes(3073 * 50 + 7));
  test::write_file(data / "cifar10/test_batch.bin", Bytes(3073 * 10));
  EXPECT_THAT(refused(3,
                      "data: {name: cifar10}\nmodel: {name: cifar_resnet, depth: 8}\ntrain: {batch: 20, shards: 2}\n"
                      "optimizer: {name: sgd, lr: 0.1}\n",
                      {}, data.text())
                  .err,
              AllOf(HasSubstr("data_batch_1.bin"), HasSubstr("offset 153650"), HasSubstr("3073")));
}

TEST(PlanLargerThanMemory, IsRefusedWithTheLargestBatchThatFits) {
  const std::string recipe =
      "data: {name: glyphs, channels: 3, side: 64, train_size: 100000000}\n"
      "model: {name: resnet, depth: 18, classes: 10}\ntrain: {batch: 8000000, shards: 2, shard_threads: 1}\n"
      "optimizer: {name: sgd, lr: 0.1}\n";
  const std::string message = refused(5, recipe).err;
  const std::size_t at = message.find("the largest batch that fits is ");
  ASSERT_NE(at, std::string::npos) << message;
  const std::int64_t fits = std::stoll(message.substr(at + 31));
  EXPECT_GT(fits, 0);
  EXPECT_EQ(fits % 2, 0);
  EXPECT_THAT(message, HasSubstr("r.yaml:3:"));
}

TEST(RunFolder, OfAnotherRecipeIsLeftAsItIs) {
  const Folders folders;
  write_text(folders.home() / "r.yaml", kTiny);
  ASSERT_EQ(run_program(folders, {"train", "r.yaml", "--run", "here", "train.max_steps=2"}).code, 0);
  const auto contents = [&] {
    std::map<std::string, std::string> files;
    for (const std::string& file : files_below(folders.home())) {
      // The lock names the last process that held it.
      if (fs::path(file).filename() == ".lock") continue;
      files[file] = fs::is_regular_file(folders.home() / file) ? read_file(folders.home() / file) : "";
    }
    return files;
  };
  const auto before = contents();
  const Outcome outcome = run_program(folders, {"train", "r.yaml", "--run", "here", "optimizer.lr=0.2"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("optimizer.lr is 0.05 there and 0.2 here"), HasSubstr("--run")));
  EXPECT_EQ(before, contents());
}

}  // namespace
}  // namespace athanor::launcher_test
