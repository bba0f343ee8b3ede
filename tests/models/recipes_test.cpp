// Every recipe that ships: it reads, its network fits its data, and its plan holds no slow reference kernel.
#include <gmock/gmock.h>

#include <cctype>
#include <filesystem>
#include <map>

#include "backend/reference_implementation.h"
#include "base/error.h"
#include "models/build.h"
#include "train/session.h"

namespace athanor::models_test {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = ATHANOR_SOURCE_DIR "/configs";

std::vector<std::string> recipes() {
  std::vector<std::string> paths;
  for (const auto& entry : fs::recursive_directory_iterator(kFolder)) {
    if (entry.path().extension() == ".yaml") paths.push_back(entry.path().lexically_relative(kFolder).string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

GraphOptions options_of(const Recipe& recipe) {
  const std::map<std::string, Shape> shapes{{"mnist", {1, 28, 28}},
                                            {"fashion_mnist", {1, 28, 28}},
                                            {"cifar10", {3, 32, 32}},
                                            {"cifar100", {3, 32, 32}},
                                            {"glyphs", {1, 28, 28}}};
  GraphOptions options = images(recipe.train.batch / recipe.train.shards, shapes.at(recipe.data.set.name), 10);
  options.mean = recipe.data.mean;
  options.std = recipe.data.stddev;
  options.loss = {.name = recipe.loss.name, .attributes = recipe.loss.attributes, .place = recipe.loss.place};
  options.shards = recipe.train.shards;
  return options;
}

/// The plans that `athanor train` makes of it where `cpus` processors are to be had.
Plans shipped_plans(const std::string& path, int cpus) {
  Recipe recipe = read_recipe(path);
  recipe.device = "cpu";
  Hardware hardware;
  hardware.allowed_cpus = cpus;
  const std::optional<DatasetInfo> info = describe_dataset(recipe.data.set.name, recipe.data.set.attributes);
  if (!info) throw DataError("{}: the shape of {} is not known without its files", path, recipe.data.set.name);
  const Sizing sizing =
      size_run(recipe, info->train_size - recipe.data.validation, hardware, *make_self_communicator());
  return make_plans(recipe, model_of(recipe), *info, sizing);
}

class ShippedRecipe : public ::testing::TestWithParam<std::string> {};

TEST_P(ShippedRecipe, StatesItsShardsAndFitsItsData) {
  const Recipe recipe = read_recipe((kFolder / GetParam()).string());
  ASSERT_GT(recipe.train.shards, 0) << "the number of devices must not change the result";
  EXPECT_EQ(batch_problem(recipe.train.batch, recipe.train.shards), "");
  EXPECT_FALSE(training_graph(model_of(recipe), options_of(recipe)).gradients.empty());
}

TEST_P(ShippedRecipe, RunsNoReferenceKernel) {
  // Two processors, and so many that shards get teams of several threads where the recipe leaves that open.
  for (const int cpus : {2, 32}) {
    const Plans plans = shipped_plans((kFolder / GetParam()).string(), cpus);
    for (const Plan* plan : {&plans.training, &plans.evaluation}) {
      for (const auto* section : {&plan->prologue, &plan->shard}) {
        for (const PlannedStep& step : *section) {
          EXPECT_FALSE(is_reference_implementation(step.implementation))
              << plan->graph.node(step.node).layer << " " << plan->graph.node(step.node).op->name << ": "
              << step.implementation << ", " << plan->shard_threads << " threads a shard";
        }
      }
    }
  }
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param.substr(0, info.param.rfind('.'));
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Configs, ShippedRecipe, ::testing::ValuesIn(recipes()), test_name);

TEST(Recipes, TheLayersOfTheQuickstartAreItsNetwork) {
  const auto graph = [](const char* name) {
    const Recipe recipe = read_recipe((kFolder / "glyphs" / name).string());
    return training_graph(model_of(recipe), options_of(recipe));
  };
  const Graph named = graph("quickstart.yaml"), listed = graph("layers.yaml");
  EXPECT_EQ(named.parameter_count(), listed.parameter_count());
  EXPECT_EQ(named.nodes.size(), listed.nodes.size());
}

}  // namespace
}  // namespace athanor::models_test
