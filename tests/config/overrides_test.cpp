// KEY=VALUE arguments, and settings written back as YAML.
#include "config/overrides.h"

#include <gtest/gtest.h>

#include "config/emit.h"
#include "sample.h"

namespace athanor {
namespace {

using config_test::contains;

YamlNode sample() {
  return parse_yaml(config_test::kSample, "r.yaml");
}

std::string problems_of(std::vector<std::string> overrides) {
  Problems problems;
  YamlNode root = sample();
  apply_overrides(root, overrides, problems);
  if (problems.empty()) config_test::check_sample(root, problems);
  return problems.text();
}

TEST(Overrides, SetValuesListItemsAndWholeSections) {
  Problems problems;
  YamlNode root = sample();
  const std::vector<std::string> overrides = {"train.batch=64",        "layers.0.test_conv.channels=16",
                                              "tool={name: test_saw}", "train.match=[\"*.bn\", a]",
                                              "steps.2=test_flip",     "fresh.a.b=1"};
  apply_overrides(root, overrides, problems);
  ASSERT_TRUE(problems.empty()) << problems.text();
  EXPECT_EQ(find_node(root, "train.batch")->text, "64");
  EXPECT_EQ(locate(root, "train.batch").text(), "command line argument 'train.batch=64'");
  EXPECT_EQ(find_node(root, "layers.0.test_conv.channels")->text, "16");
  EXPECT_EQ(root.find("tool")->entries.size(), 1u);
  EXPECT_EQ(find_node(root, "train.match.0")->text, "*.bn");
  EXPECT_EQ(root.find("steps")->items.size(), 3u);
  EXPECT_EQ(find_node(root, "fresh.a.b")->text, "1");
  config_test::check_sample(root, problems);
  EXPECT_TRUE(problems.empty()) << problems.text();
}

TEST(Overrides, NameTheArgumentAndTheNearestKey) {
  EXPECT_EQ(problems_of({"train.bacth=64"}).substr(0, 92),
            "command line argument 'train.bacth=64': train.bacth: unknown key; did you mean 'batch'? (val");
  EXPECT_EQ(problems_of({"train.batch=many"}),
            "command line argument 'train.batch=many': train.batch: wanted an integer, at least 1, found 'many'");
  EXPECT_TRUE(contains(problems_of({"train.batch="}), "found nothing"));
  EXPECT_TRUE(contains(problems_of({"layers.0.test_conv.kernal=3"}), "did you mean 'kernel'?"));
}

TEST(Overrides, RefuseWhatIsNoAssignment) {
  for (const char* bad : {"train.batch", "=3", ".a=1", "a.=1", "a..b=1", ""}) {
    EXPECT_TRUE(contains(problems_of({bad}), "wanted KEY=VALUE")) << bad;
  }
  EXPECT_TRUE(contains(problems_of({"train.batch=[1"}), "command line argument 'train.batch=[1': train.batch: "));
  EXPECT_TRUE(contains(problems_of({"train.batch.x=1"}), "'train.batch' holds 128, so it has no keys"));
  EXPECT_TRUE(contains(problems_of({"layers.9=test_relu"}), "wanted an index from 0 to 4 (4 appends)"));
  EXPECT_TRUE(contains(problems_of({"layers.x=test_relu"}), "'layers' is a list"));
}

TEST(Overrides, KeepTheOrderSoThatTheLastOneWins) {
  Problems problems;
  YamlNode root = sample();
  apply_overrides(root, std::vector<std::string>{"train.batch=1", "train.batch=2"}, problems);
  EXPECT_EQ(find_node(root, "train.batch")->text, "2");
}

TEST(Emit, ResolvedSettingsReadBackEqual) {
  Problems problems;
  const YamlNode root = sample();
  const Attributes train = validate(*root.find("train"), config_test::train_schema(), "train", problems);
  const NamedSettings tool = validate_named(*root.find("tool"), "test_tool", "tool", problems);
  const auto steps = validate_named_list(*root.find("steps"), "test_step", "steps", problems);
  const auto layers = validate_layers(*root.find("layers"), "layers", problems);
  YamlNode resolved = mapping_node();
  resolved.set("train", to_node(train));
  resolved.set("tool", to_node(tool));
  resolved.set("steps", to_node(steps));
  resolved.set("layers", to_node(layers));
  const std::string text = emit(resolved);
  const YamlNode again = parse_yaml(text, "resolved.yaml");
  EXPECT_EQ(validate(*again.find("train"), config_test::train_schema(), "train", problems), train);
  EXPECT_EQ(validate_named(*again.find("tool"), "test_tool", "tool", problems), tool);
  EXPECT_EQ(validate_named_list(*again.find("steps"), "test_step", "steps", problems), steps);
  EXPECT_EQ(emit(to_node(validate_layers(*again.find("layers"), "layers", problems))), emit(*resolved.find("layers")));
  EXPECT_TRUE(problems.empty()) << problems.text() << text;
  EXPECT_EQ(emit(again), text);
}

TEST(Emit, IsReadable) {
  const YamlNode root = parse_yaml(
      "name: x\nmodel:\n  layers: [relu, {conv: {channels: 3}}, {block: {body: [relu, {dense: 1}], deep: [[1, 2], "
      "[3]]}}]\n",
      "r");
  EXPECT_EQ(emit(root),
            "name: x\nmodel:\n  layers:\n    - relu\n    - conv: {channels: 3}\n    - block:\n        body:\n"
            "          - relu\n          - {dense: 1}\n        deep: [[1, 2], [3]]\n");
}

TEST(Emit, QuotesWhatYamlWouldReadOtherwise) {
  for (const std::string text :
       {"",         "~",     "null", "a: b", "#x",  "*",   "- a",  "-",   "a\nb", "it's \"so\" \\",
        "\xc3\xa4", " lead", "{a}",  "a, b", "---", "...", "%a",   "@",   "`",    "!x",
        "&x",       "|",     ">",    "?",    "=",   "<<",  "\x7f", "${X}"}) {
    YamlNode root = mapping_node();
    root.set("key", scalar_node(text));
    const YamlNode again = parse_yaml(emit(root), "r.yaml");
    ASSERT_TRUE(again.find("key")->is_scalar()) << emit(root);
    EXPECT_EQ(again.find("key")->text, text) << emit(root);
  }
}

TEST(Difference, NamesTheFirstPathWithBothValues) {
  const auto between = [](const char* a, const char* b) { return difference(parse_yaml(a, "a"), parse_yaml(b, "b")); };
  EXPECT_FALSE(between("{a: 0.1, b: [1, 2]}", "{b: [1, 2], a: 1e-1}").has_value());
  const auto changed = between("{a: 1, b: {c: [1, 2]}}", "{a: 1, b: {c: [1, 3]}}");
  EXPECT_EQ(changed->path, "b.c.1");
  EXPECT_EQ(changed->a, "2");
  EXPECT_EQ(changed->b, "3");
  EXPECT_EQ(between("{a: 1}", "{a: 1, z: {y: 2}}")->b, "{y: 2}");
  EXPECT_EQ(between("{a: 1, z: 2}", "{a: 1}")->b, "(not set)");
  EXPECT_EQ(between("{a: [1]}", "{a: 1}")->a, "[1]");
  EXPECT_EQ(between("{a: \"1\"}", "{a: 1.0}")->path, "a");
}

}  // namespace
}  // namespace athanor
