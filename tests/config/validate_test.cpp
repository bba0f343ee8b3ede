// Sections against schemas: what is wrong, what was wanted, and where.
#include <gtest/gtest.h>

#include <cstdlib>

#include "config/environment.h"
#include "config/nearest.h"
#include "sample.h"

namespace athanor {
namespace {

using config_test::contains;
using config_test::train_schema;
using config_test::usage_error;

std::string train_problems(std::string_view text) {
  Problems problems;
  const YamlNode root = parse_yaml(text, "r.yaml");
  validate(*root.find("train"), train_schema(), "train", problems);
  return problems.text();
}

std::string layer_problems(std::string_view text) {
  Problems problems;
  validate_layers(parse_yaml(text, "r.yaml"), "layers", problems);
  return problems.text();
}

TEST(Validate, FillsDefaultsInSchemaOrder) {
  Problems problems;
  const Attributes values = validate(parse_yaml("rate: 1\nbatch: 4\nmean: 3", "r"), train_schema(), "", problems);
  ASSERT_TRUE(problems.empty()) << problems.text();
  EXPECT_EQ(values.entries().front().first, "batch");
  EXPECT_EQ(values.integer("batch"), 4);
  EXPECT_EQ(values.real("rate"), 1.0);
  EXPECT_EQ(values.text("precision"), "fp32");
  EXPECT_TRUE(values.flag("shuffle"));
  EXPECT_EQ(values.get<std::vector<double>>("mean"), std::vector<double>{3.0});
  EXPECT_TRUE(values.get<std::vector<std::string>>("match").empty());
}

TEST(Validate, NamesAnUnknownKeyAndTheNearest) {
  EXPECT_EQ(train_problems("train:\n  batch: 1\n  ratte: 2\n"),
            "r.yaml:3:3: train.ratte: unknown key; did you mean 'rate'? "
            "(valid: batch, rate, precision, shuffle, mean, match, path)");
  EXPECT_EQ(train_problems("train:\n  batch: 1\n  zzz: 2\n"),
            "r.yaml:3:3: train.zzz: unknown key (valid: batch, rate, precision, shuffle, mean, match, path)");
}

TEST(Validate, NamesAMissingKey) {
  EXPECT_EQ(train_problems("a: 1\ntrain:\n  rate: 1\n"),
            "r.yaml:2:1: train.batch: is missing; wanted an integer, at least 1");
  EXPECT_TRUE(contains(train_problems("train:\n"), "r.yaml:1:1: train.batch: is missing"));
}

TEST(Validate, SaysWhatWasWantedAndFound) {
  const auto batch = [](const std::string& value) { return train_problems("train: {batch: " + value + "}"); };
  EXPECT_EQ(batch("many"), "r.yaml:1:16: train.batch: wanted an integer, at least 1, found 'many'");
  EXPECT_TRUE(contains(batch("1.0"), "wanted an integer, at least 1, found 1.0"));
  EXPECT_TRUE(contains(batch("1e3"), "found 1e3"));
  EXPECT_TRUE(contains(batch("0"), "wanted an integer, at least 1, found 0"));
  EXPECT_TRUE(contains(batch("-5"), "found -5"));
  EXPECT_TRUE(contains(batch("99999999999999999999"), "found 99999999999999999999"));
  EXPECT_TRUE(contains(batch("\"64\""), "found the quoted text \"64\"; remove the quotes"));
  EXPECT_TRUE(contains(batch("~"), "found nothing"));
  EXPECT_TRUE(contains(batch("[1, 2]"), "found a list of 2"));
  EXPECT_TRUE(contains(batch("{a: 1}"), "found a mapping"));
  EXPECT_TRUE(contains(train_problems("train: 5\n"), "train: wanted settings such as {batch: …}, found 5"));
  EXPECT_TRUE(contains(train_problems("train: {batch: 1, shuffle: yes}"), "wanted true or false, found 'yes'"));
  EXPECT_TRUE(contains(train_problems("train: {batch: 1, path: [a]}"), "wanted text, found a list of 1"));
}

TEST(Validate, ReadsRealsAndRefusesWhatIsNotFinite) {
  const auto rate = [](const std::string& value) { return train_problems("train: {batch: 1, rate: " + value + "}"); };
  for (const char* good : {"1", "0.1", "5e-4", "+0.5", ".5", "1.", "1E-3"}) EXPECT_EQ(rate(good), "") << good;
  for (const char* bad : {".nan", "nan", ".inf", "inf", "-.inf", "1e999", "0x1p-2", "0.1x", "0", "1.5", "+-1"}) {
    EXPECT_TRUE(contains(rate(bad), "wanted a finite number, above 0 and at most 1, found ")) << bad;
  }
}

TEST(Validate, ChecksChoicesAndListLengths) {
  EXPECT_TRUE(contains(train_problems("train: {batch: 1, precision: fp23}"),
                       "train.precision: unknown value 'fp23'; did you mean 'fp32'? (valid: fp32, bf16)"));
  EXPECT_TRUE(contains(train_problems("train: {batch: 1, mean: [1, 2, 3]}"),
                       "train.mean: wanted a list of 1 or 2 finite numbers, found a list of 3"));
  EXPECT_TRUE(contains(train_problems("train: {batch: 1, mean: [1, x]}"), "r.yaml:1:29: train.mean.1: wanted"))
      << train_problems("train: {batch: 1, mean: [1, x]}");
}

TEST(Validate, ReportsAllProblemsAtOnceInTheOrderOfTheFile) {
  const std::string text = "train:\n  speed: 1\n  rate: -1\n  batch: x\n  precision: fp8\n";
  const std::string message = usage_error([&] {
    Problems problems;
    validate(*parse_yaml(text, "r.yaml").find("train"), train_schema(), "train", problems);
    problems.throw_if_any();
  });
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 3);
  const std::size_t speed = message.find("r.yaml:2:3: train.speed");
  const std::size_t rate = message.find("r.yaml:3:9: train.rate");
  const std::size_t batch = message.find("r.yaml:4:10: train.batch");
  const std::size_t precision = message.find("r.yaml:5:14: train.precision");
  EXPECT_TRUE(speed < rate && rate < batch && batch < precision && precision != std::string::npos) << message;
}

TEST(Validate, ExpandsEnvironmentVariables) {
  ::setenv("ATHANOR_TEST_FOLDER", "/some/where", 1);
  ::setenv("ATHANOR_TEST_BATCH", "32", 1);
  ::unsetenv("ATHANOR_TEST_UNSET");
  Problems problems;
  const YamlNode node =
      parse_yaml("batch: \n  ${ATHANOR_TEST_BATCH}\npath: \"${ATHANOR_TEST_FOLDER}/x${ATHANOR_TEST_BATCH}\"", "r");
  const Attributes values = validate(node, train_schema(), "train", problems);
  ASSERT_TRUE(problems.empty()) << problems.text();
  EXPECT_EQ(values.text("path"), "/some/where/x32");
  EXPECT_EQ(values.integer("batch"), 32);
  EXPECT_TRUE(contains(train_problems("train: {batch: 1, path: \"a/${ATHANOR_TEST_UNSET}\"}"),
                       "r.yaml:1:25: train.path: the environment variable ATHANOR_TEST_UNSET is not set"));
  EXPECT_TRUE(contains(train_problems("train: {batch: 1, path: \"a/${oops\"}"), "write ${NAME}"));
}

TEST(Validate, LeavesTheDataFolderOpenUntilDataIsRead) {
  const char* held = std::getenv("ATHANOR_DATA");
  const std::string before = held ? held : "";
  ::unsetenv("ATHANOR_DATA");
  Problems problems;
  const YamlNode path = scalar_node("${ATHANOR_DATA}/mnist");
  const std::string expanded = expand_environment(path, "data.path", problems);
  EXPECT_TRUE(problems.empty());
  EXPECT_EQ(expanded, "${ATHANOR_DATA}/mnist");
  ::setenv("ATHANOR_DATA", "/data", 1);
  EXPECT_EQ(expand_environment(path, "data.path", problems), "/data/mnist");
  if (held) ::setenv("ATHANOR_DATA", before.c_str(), 1);
}

TEST(Layers, ReadNamesMappingsShorthandAndNesting) {
  Problems problems;
  const YamlNode root = parse_yaml(config_test::kSample, "r.yaml");
  const std::vector<LayerSpec> layers = validate_layers(*root.find("layers"), "layers", problems);
  ASSERT_TRUE(problems.empty()) << problems.text();
  ASSERT_EQ(layers.size(), 4u);
  EXPECT_EQ(layers[0].kind, "test_conv");
  EXPECT_EQ(layers[0].attributes.integers("kernel"), (std::vector<std::int64_t>{3, 3}));
  EXPECT_EQ(layers[0].place.text(), "r.yaml:13:5");
  EXPECT_TRUE(layers[1].attributes.entries().empty());
  EXPECT_EQ(layers[2].attributes.integer("features"), 10);
  ASSERT_EQ(layers[3].list("body").size(), 2u);
  EXPECT_EQ(layers[3].list("body")[0].attributes.integers("kernel"), std::vector<std::int64_t>{1});
  EXPECT_TRUE(layers[3].list("shortcut").empty());
}

TEST(Layers, NameTheLayerThatIsWrong) {
  EXPECT_EQ(layer_problems("- test_relu\n- test_cnov: {channels: 1}\n").substr(0, 75),
            "r.yaml:2:3: layers.1: unknown layer 'test_cnov'; did you mean 'test_conv'? ");
  EXPECT_TRUE(contains(layer_problems("- test_conv: {chanels: 1}\n"),
                       "r.yaml:1:15: layers.0.test_conv.chanels: unknown key; did you mean 'channels'?"));
  EXPECT_TRUE(contains(layer_problems("- test_conv\n"), "r.yaml:1:3: layers.0.test_conv.channels: is missing"));
  EXPECT_TRUE(contains(layer_problems("- test_dense: ten\n"), "layers.0.test_dense.features: wanted an integer"));
  EXPECT_TRUE(contains(layer_problems("- test_relu: 3\n"), "layers.0.test_relu: wanted no settings, found 3"));
  EXPECT_TRUE(contains(layer_problems("- test_block: {body: [{test_dense: 0}]}\n"),
                       "layers.0.test_block.body.0.test_dense.features: wanted an integer, at least 1, found 0"));
  EXPECT_TRUE(contains(layer_problems("- test_block: {body: test_relu}\n"),
                       "wanted a list, each item '- ' and the name of a layer"));
  EXPECT_TRUE(contains(layer_problems("- test_block\n"), "layers.0.test_block.body: is missing"));
  EXPECT_TRUE(contains(layer_problems("- [1]\n"), "wanted the name of a layer"));
  EXPECT_TRUE(contains(layer_problems("test_relu: 1\n"), "layers: wanted a list"));
}

TEST(Layers, ExplainIndentationThatMakesTwoNames) {
  EXPECT_TRUE(contains(layer_problems("- test_conv:\n  channels: 3\n"), "indent the settings of 'test_conv' further"));
  EXPECT_TRUE(contains(layer_problems("- {test_dense: 3, test_relu: ~}\n"), "begin each with '-'"));
}

TEST(Named, TakesSettingsOfTheSchemaThatTheNameChooses) {
  Problems problems;
  const std::vector<Field> common = {real("clip", 0.0, "").at_least(0), integer("weight", 9, "")};
  const YamlNode node = parse_yaml("{name: test_hammer, weight: 3, clip: 1, extra: [1]}", "r.yaml");
  const NamedSettings tool = validate_named(node, "test_tool", "tool", problems, common, {"extra"});
  ASSERT_TRUE(problems.empty()) << problems.text();
  EXPECT_EQ(tool.name, "test_hammer");
  EXPECT_EQ(tool.schema, find_schema("test_tool", "test_hammer"));
  EXPECT_EQ(tool.attributes, (Attributes{{"weight", std::int64_t{3}}, {"color", std::string("grey")}, {"clip", 1.0}}));
  EXPECT_EQ(validate_named(parse_yaml("test_saw", "r"), "test_tool", "tool", problems).name, "test_saw");
  EXPECT_TRUE(problems.empty());
}

TEST(Named, NamesTheNearestAndTheValidOnes) {
  const auto named = [](std::string_view text) {
    Problems problems;
    validate_named(parse_yaml(text, "r.yaml"), "test_tool", "tool", problems);
    return problems.text();
  };
  EXPECT_EQ(named("{name: test_hamer}"),
            "r.yaml:1:8: tool.name: unknown test_tool 'test_hamer'; did you mean 'test_hammer'? "
            "(valid: test_hammer, test_saw)");
  EXPECT_TRUE(
      contains(named("{weight: 1}"), "tool.name: wanted the name of a test_tool, found nothing (valid: test_ham"));
  EXPECT_TRUE(contains(named("{name: [a]}"), "found a list of 1"));
  EXPECT_TRUE(contains(named("{name: test_saw, weight: 1}"),
                       "tool.weight: unknown key; 'weight' is a setting of test_hammer, not of test_saw"));
}

TEST(Named, ReadsListsOfNames) {
  Problems problems;
  const auto steps =
      validate_named_list(parse_yaml("[test_crop: {padding: 2}, test_flip]", "r.yaml"), "test_step", "steps", problems);
  ASSERT_TRUE(problems.empty()) << problems.text();
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].attributes.integer("padding"), 2);
  EXPECT_EQ(steps[1].name, "test_flip");
  validate_named_list(parse_yaml("[test_crop: {pad: 2}, test_flop]", "r.yaml"), "test_step", "steps", problems);
  EXPECT_TRUE(contains(problems.text(), "steps.0.test_crop.pad: unknown key; did you mean 'padding'?"))
      << problems.text();
  EXPECT_TRUE(contains(problems.text(), "steps.1: unknown test_step 'test_flop'; did you mean 'test_flip'?"));
}

TEST(Nearest, MeasuresEditsAndKnowsWhenNothingIsClose) {
  EXPECT_EQ(edit_distance("batch", "batch"), 0u);
  EXPECT_EQ(edit_distance("bacth", "batch"), 1u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("Weight-Decay", "weight_decay"), 0u);
  const std::vector<std::string> valid = {"lr", "momentum", "nesterov", "weight_decay"};
  EXPECT_EQ(nearest("lrate", valid), "lr");
  EXPECT_EQ(nearest("momentun", valid), "momentum");
  EXPECT_EQ(nearest("weigth_decay", valid), "weight_decay");
  EXPECT_EQ(nearest("epochs", valid), std::nullopt);
  EXPECT_EQ(nearest("", valid), std::nullopt);
  EXPECT_EQ(nearest(std::string(10000, 'm'), valid), std::nullopt);
}

}  // namespace
}  // namespace athanor
