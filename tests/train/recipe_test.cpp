// Whole recipes: the typed values, every problem at once, the resolved text, and what counts as another experiment.
#include "train/recipe.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/error.h"

namespace athanor {
namespace {

constexpr const char* kText =
    "name: fashion-resnet20\n"
    "data:\n"
    "  name: fashion_mnist\n"
    "  path: /data/fashion\n"
    "  validation: 0\n"
    "  normalize: {mean: [0.2860], std: [0.3530]}\n"
    "  augment:\n"
    "    - random_crop: {padding: 2}\n"
    "    - horizontal_flip\n"
    "    - cutout: {size: 8}\n"
    "model: {input: [1, 28, 28], layers: [recipe_test_layer: 3]}\n"
    "loss: {name: cross_entropy, label_smoothing: 0.1}\n"
    "train: {epochs: 10, batch: 128, shards: 8, seed: 7}\n"
    "optimizer:\n"
    "  name: sgd\n"
    "  lr: 0.2\n"
    "  momentum: 0.9\n"
    "  nesterov: true\n"
    "  weight_decay: 5e-4\n"
    "  groups: [{match: [\"*.bn*\", \"*.bias\"], weight_decay: 0}]\n"
    "schedule: {name: one_cycle, warmup: 0.25}\n"
    "ema: {decay: 0.99}\n"
    "comm: {bucket_mb: 25, timeout_s: auto}\n"
    "device: cpu\n";

const RegisterSchema kLayer{"layer",
                            {.name = "recipe_test_layer",
                             .doc = "",
                             .fields = {integer("width", std::nullopt, "").at_least(1)},
                             .shorthand = "width"}};

/// Stands in for a schema that its room has not registered.
void ensure(std::string_view kind, const char* name, std::vector<Field> fields) {
  if (!find_schema(kind, name))
    RegisterSchema(kind, {.name = name, .doc = "", .fields = std::move(fields), .shorthand = {}});
}

class RecipeTest : public ::testing::Test {
 protected:
  void SetUp() override { ensure("loss", "cross_entropy", {real("label_smoothing", 0.0, "").at_least(0).below(1)}); }
};

Recipe parse(std::vector<std::string> overrides = {}) {
  return parse_recipe(kText, "r.yaml", overrides);
}

std::string problems_of(std::string_view text, std::vector<std::string> overrides = {}) {
  try {
    parse_recipe(text, "r.yaml", overrides);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_F(RecipeTest, HoldsTypedValuesWithDefaults) {
  const Recipe recipe = parse();
  EXPECT_EQ(recipe.name, "fashion-resnet20");
  EXPECT_EQ(recipe.data.set.name, "fashion_mnist");
  EXPECT_EQ(recipe.data.set.attributes.text("path"), "/data/fashion");
  EXPECT_EQ(recipe.data.mean, std::vector<double>{0.2860});
  ASSERT_EQ(recipe.data.augment.size(), 3u);
  EXPECT_EQ(recipe.data.augment[2].attributes.integer("size"), 8);
  EXPECT_TRUE(recipe.model.is_layers());
  EXPECT_EQ(recipe.model.input, (std::vector<std::int64_t>{1, 28, 28}));
  EXPECT_EQ(recipe.model.layers.at(0).attributes.integer("width"), 3);
  EXPECT_EQ(recipe.loss.attributes.real("label_smoothing"), 0.1);
  EXPECT_EQ(recipe.train.batch, 128);
  EXPECT_EQ(recipe.train.shards, 8);
  EXPECT_EQ(recipe.train.precision, "fp32");
  EXPECT_TRUE(recipe.train.deterministic);
  EXPECT_EQ(recipe.optimizer.named.attributes.real("weight_decay"), 5e-4);
  ASSERT_EQ(recipe.optimizer.groups.size(), 1u);
  EXPECT_EQ(recipe.optimizer.groups[0].weight_decay, 0.0);
  EXPECT_FALSE(recipe.optimizer.groups[0].lr_scale.has_value());
  EXPECT_EQ(recipe.schedule.attributes.real("warmup"), 0.25);
  EXPECT_EQ(recipe.ema.decay, 0.99);
  EXPECT_EQ(recipe.eval.batch, 500);
  EXPECT_EQ(recipe.checkpoint.keep, 3);
  EXPECT_EQ(recipe.comm.bucket_mb, 25.0);
  EXPECT_FALSE(recipe.comm.timeout_s.has_value());
  EXPECT_EQ(recipe.device, "cpu");
  EXPECT_EQ(recipe.place("train.batch").text(), "r.yaml:13:21");
}

TEST_F(RecipeTest, ResolvedTextReadsBackToTheSameRecipe) {
  const Recipe recipe = parse();
  const std::string text = resolved_text(recipe);
  const Recipe again = parse_recipe(text, "resolved.yaml");
  EXPECT_EQ(resolved_text(again), text);
  EXPECT_FALSE(difference(recipe.resolved, again.resolved).has_value());
  EXPECT_EQ(again.optimizer.groups[0].match, recipe.optimizer.groups[0].match);
  EXPECT_TRUE(contains(text, "max_steps: 0")) << text;
}

TEST_F(RecipeTest, ReportsProblemsOfAllSectionsAtOnce) {
  const std::string message = problems_of(
      "data: {name: fashion_mnst}\n"
      "model: {input: [1, 28], layers: []}\n"
      "train: {batch: 0, bach: 3}\n"
      "train: {}\n"
      "optimizer: {name: sgd, lrate: 0.1, groups: 3}\n"
      "comm: {bucket_mb: big}\n"
      "ema: {decay: 1}\n"
      "devise: cpu\n",
      {"eval.bach=3", "loss.name=cross"});
  for (const char* part :
       {"r.yaml:1:14: data.name: unknown data set 'fashion_mnst'; did you mean 'fashion_mnist'?",
        "r.yaml:2:16: model.input: wanted a list of 1 or 3 integers, at least 1, found a list of 2",
        "model.layers: is missing", "r.yaml:3:16: train.batch: wanted an integer, from 1 to 1000000000, found 0",
        "r.yaml:3:19: train.bach: unknown key; did you mean 'batch'?",
        "r.yaml:4:1: 'train' is given twice, first in line 3",
        "r.yaml:5:24: optimizer.lrate: unknown key; did you mean 'lr'?", "optimizer.groups: wanted a list such as",
        "r.yaml:6:8: comm.bucket_mb: wanted auto or a number above 0, found 'big'",
        "r.yaml:7:14: ema.decay: wanted a finite number, at least 0 and below 1, found 1",
        "r.yaml:8:1: devise: unknown key; did you mean 'device'?",
        "command line argument 'eval.bach=3': eval.bach: unknown key; did you mean 'batch'?",
        "command line argument 'loss.name=cross': loss.name: unknown loss 'cross'; did you mean 'cross_entropy'?"}) {
    EXPECT_TRUE(contains(message, part)) << part << "\n---\n" << message;
  }
}

TEST_F(RecipeTest, NamesSectionsThatAreMissing) {
  const std::string message = problems_of("train: {batch: 4}\n");
  for (const char* section :
       {"data.name: wanted the name", "model.name: wanted the name", "optimizer.name: wanted the name"}) {
    EXPECT_TRUE(contains(message, section)) << message;
  }
  EXPECT_TRUE(contains(problems_of("- a\n"), "wanted the sections of a recipe"));
  EXPECT_TRUE(contains(problems_of(""), "data.name"));
}

TEST_F(RecipeTest, SuggestsBatchesAndShardsThatWork) {
  EXPECT_EQ(
      problems_of(kText, {"train.batch=130"}),
      "command line argument 'train.batch=130': train.batch: a batch of 130 cannot be cut into 8 equal shards; use a "
      "batch of 128 or 136, or train.shards=5");
  EXPECT_TRUE(contains(problems_of(kText, {"train.batch=3"}), "use a batch of 8, or train.shards=3"));
  EXPECT_EQ(batch_problem(128, 0), "");
  Recipe recipe = parse();
  EXPECT_THROW(set_shards(recipe, 3, 1), UsageError);
  set_shards(recipe, 4, 2);
  EXPECT_EQ(find_node(recipe.resolved, "train.shards")->text, "4");
  EXPECT_EQ(parse_recipe(resolved_text(recipe), "again.yaml").train.shard_threads, 2);
}

TEST_F(RecipeTest, RefusesARunWithoutEndAndUnequalNormalization) {
  EXPECT_TRUE(contains(problems_of(kText, {"train.epochs=0"}), "would never end"));
  EXPECT_EQ(problems_of(kText, {"train.epochs=0", "train.max_steps=5"}), "");
  EXPECT_TRUE(contains(problems_of(kText, {"data.normalize.mean=[0, 1, 2]"}), "mean has 3 values and std 1"));
  EXPECT_TRUE(contains(problems_of(kText, {"data.normalize.std=0"}), "above 0, found 0"));
  EXPECT_TRUE(contains(problems_of(kText, {"model.name=x"}), "has a name and layers"));
}

TEST_F(RecipeTest, OnlyOtherMathematicsIsADifference) {
  const Recipe recipe = parse();
  EXPECT_FALSE(first_difference(recipe, parse({"train.epochs=20", "data.path=/else", "checkpoint.keep=9", "name=other",
                                               "eval.every_epochs=2", "comm.timeout_s=5", "train.shards=0"}))
                   .has_value());
  const auto changed = first_difference(recipe, parse({"optimizer.lr=0.1"}));
  ASSERT_TRUE(changed.has_value());
  EXPECT_EQ(changed->path, "optimizer.lr");
  EXPECT_EQ(changed->a, "0.2");
  EXPECT_EQ(changed->b, "0.1");
  EXPECT_EQ(first_difference(recipe, parse({"train.shards=4"}))->path, "train.shards");
  EXPECT_EQ(first_difference(recipe, parse({"data.augment.0.random_crop.padding=3"}))->path,
            "data.augment.0.random_crop.padding");
}

TEST_F(RecipeTest, ReadsAFileAndTakesItsNameFromIt) {
  const auto folder = std::filesystem::temp_directory_path() / ("athanor-recipe-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "small.yaml").string();
  std::string unnamed = kText;
  unnamed.erase(0, unnamed.find('\n') + 1);
  std::ofstream(path) << unnamed;
  EXPECT_EQ(read_recipe(path).name, "small");
  EXPECT_EQ(parse_recipe(kText, "a folder/my recipe.yaml", std::vector<std::string>{}).name, "fashion-resnet20");
  EXPECT_EQ(parse_recipe(unnamed, "a folder/my recipe.yaml", std::vector<std::string>{}).name, "my-recipe");
  std::filesystem::remove_all(folder);
  EXPECT_THROW(read_recipe(path), UsageError);
}

}  // namespace
}  // namespace athanor
