// Every recipe that ships: it reads, its network fits its data, and its plan holds no slow reference kernel.
#include <gmock/gmock.h>

#include <cctype>
#include <filesystem>
#include <map>

#include "backend/cpu/planner.h"
#include "graph/plan.h"
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
  options.loss_scale = 1.0 / static_cast<double>(recipe.train.shards);
  return options;
}

/// Names of oneDNN's reference kernels are "ref", "ref:any", "simple:any", …; as a part of a longer word it is another.
bool is_reference(const std::string& implementation) {
  for (std::size_t at = implementation.find("ref"); at != std::string::npos; at = implementation.find("ref", at + 1)) {
    const bool begins = at == 0 || std::isalnum(static_cast<unsigned char>(implementation[at - 1])) == 0;
    const bool ends =
        at + 3 == implementation.size() || std::isalnum(static_cast<unsigned char>(implementation[at + 3])) == 0;
    if (begins && ends) return true;
  }
  return false;
}

class ShippedRecipe : public ::testing::TestWithParam<std::string> {};

TEST_P(ShippedRecipe, StatesItsShardsAndFitsItsData) {
  const Recipe recipe = read_recipe((kFolder / GetParam()).string());
  ASSERT_GT(recipe.train.shards, 0) << "the number of devices must not change the result";
  EXPECT_EQ(batch_problem(recipe.train.batch, recipe.train.shards), "");
  EXPECT_FALSE(training_graph(model_of(recipe), options_of(recipe)).gradients.empty());
}

TEST_P(ShippedRecipe, RunsNoReferenceKernel) {
  const Recipe recipe = read_recipe((kFolder / GetParam()).string());
  cpu::CpuPlanner planner(1);
  const Plan training = make_plan(training_graph(model_of(recipe), options_of(recipe)), planner,
                                  static_cast<int>(recipe.train.shards), 1);
  GraphOptions options = options_of(recipe);
  options.batch = 100;
  const Plan evaluation = make_plan(evaluation_graph(model_of(recipe), options), planner, 1, 1, &training);
  for (const Plan* plan : {&training, &evaluation}) {
    for (const auto* section : {&plan->prologue, &plan->shard}) {
      for (const PlannedStep& step : *section) {
        EXPECT_FALSE(is_reference(step.implementation))
            << plan->graph.node(step.node).layer << " " << plan->graph.node(step.node).op->name << ": "
            << step.implementation;
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
