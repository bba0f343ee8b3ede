// The schemas that the sample recipe names, and the Markdown made from schemas.
#include <gtest/gtest.h>

#include "config/reference.h"
#include "sample.h"

namespace athanor {
namespace {

using config_test::contains;

const RegisterSchema kHammer{
    "test_tool",
    {.name = "test_hammer",
     .doc = "A hammer.",
     .fields = {integer("weight", 1, "In kilograms.").at_least(1), text("color", "grey", "Of the handle.")},
     .shorthand = {}}};
const RegisterSchema kSaw{"test_tool", {.name = "test_saw", .doc = "A saw.", .fields = {}, .shorthand = {}}};
const RegisterSchema kCrop{"test_step",
                           {.name = "test_crop",
                            .doc = "",
                            .fields = {integer("padding", std::nullopt, "Pixels.").at_least(0)},
                            .shorthand = {}}};
const RegisterSchema kFlip{"test_step", {.name = "test_flip", .doc = "", .fields = {}, .shorthand = {}}};
const RegisterSchema kConv{
    "layer",
    {.name = "test_conv",
     .doc = "",
     .fields = {integer("channels", std::nullopt, "").at_least(1),
                integers("kernel", std::vector<std::int64_t>{1}, "").of_length({1, 2}).at_least(1)},
     .shorthand = {}}};
const RegisterSchema kRelu{"layer", {.name = "test_relu", .doc = "", .fields = {}, .shorthand = {}}};
const RegisterSchema kDense{"layer",
                            {.name = "test_dense",
                             .doc = "A matrix.",
                             .fields = {integer("features", std::nullopt, "Outputs.").at_least(1)},
                             .shorthand = "features"}};
const RegisterSchema kBlock{"layer",
                            {.name = "test_block",
                             .doc = "",
                             .fields = {layers("body", "").must_be_given(), layers("shortcut", "")},
                             .shorthand = {}}};

TEST(Reference, IsATableOfKeysWithTypeDefaultAllowedAndMeaning) {
  const std::string text = markdown_reference(config_test::train_schema(), 2);
  EXPECT_TRUE(
      text.starts_with("## `train`\n\nHow long and how fast.\n\n| key | type | default | allowed | meaning |\n"));
  EXPECT_TRUE(contains(text, "| `batch` | integer | required | at least 1 | Images of one update. |\n")) << text;
  EXPECT_TRUE(contains(text, "| `rate` | number | `0.1` | above 0 and at most 1 | Learning rate. |\n")) << text;
  EXPECT_TRUE(contains(text, "| `precision` | text | `fp32` | `fp32`, `bf16` | Of the matrix work. |\n")) << text;
  EXPECT_TRUE(contains(text, "| `mean` | list of numbers | `[0.0]` | 1 or 2 values | Subtracted \\| from")) << text;
  EXPECT_TRUE(contains(text, "| `path` | text | `\"\"` |")) << text;
}

TEST(Reference, NamesTheShortFormAndListsAKindByName) {
  EXPECT_TRUE(contains(markdown_reference(*find_schema("layer", "test_dense")), "`test_dense: X` sets `features`"));
  EXPECT_TRUE(contains(markdown_reference(*find_schema("layer", "test_block")), "| list of layers | required |"));
  const std::string tools = markdown_reference("test_tool", 4);
  EXPECT_LT(tools.find("#### `test_hammer`"), tools.find("#### `test_saw`"));
  EXPECT_TRUE(contains(tools, "A saw.\n\nNo keys.\n"));
}

}  // namespace
}  // namespace athanor
