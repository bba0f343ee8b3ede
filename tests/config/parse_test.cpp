// Recipes as text: every fault of the file is refused with its place and what to do.
#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "config/document.h"
#include "config/emit.h"
#include "sample.h"

namespace athanor {
namespace {

using config_test::contains;
using config_test::usage_error;

std::string parse_error(std::string_view text) {
  return usage_error([&] { parse_yaml(text, "r.yaml"); });
}

TEST(Parse, KeepsKindsQuotesOrderAndPlaces) {
  const YamlNode root = parse_yaml("name: x\ntrain:\n  batch: \"64\"\n  list: [1, ~]\nempty:\n", "r.yaml");
  ASSERT_TRUE(root.is_mapping());
  ASSERT_EQ(root.entries.size(), 3u);
  EXPECT_EQ(root.entries[1].key, "train");
  EXPECT_TRUE(root.find("empty")->is_null());
  const YamlNode* batch = find_node(root, "train.batch");
  EXPECT_EQ(batch->text, "64");
  EXPECT_TRUE(batch->quoted);
  EXPECT_EQ(batch->place.text(), "r.yaml:3:10");
  EXPECT_FALSE(root.find("name")->quoted);
  EXPECT_TRUE(find_node(root, "train.list.1")->is_null());
  EXPECT_EQ(find_node(root, "train.list.2"), nullptr);
}

TEST(Parse, LocatesAKeyOrTheSectionAroundIt) {
  const YamlNode root = parse_yaml("a: 1\ntrain:\n  batch: 64\nlayers:\n  - relu\n  - conv: {channels: 3}\n", "r.yaml");
  EXPECT_EQ(locate(root, "train.batch").text(), "r.yaml:3:3");
  EXPECT_EQ(locate(root, "train.shards").text(), "r.yaml:2:1");
  EXPECT_EQ(locate(root, "layers.1.conv.channels").text(), "r.yaml:6:12");
  EXPECT_EQ(locate(root, "nothing").text(), "r.yaml:1:1");
  EXPECT_EQ(root.find("train")->place.line, 2);
}

TEST(Parse, NamesADuplicateKeyAndBothLines) {
  const std::string message = parse_error("train:\n  batch: 1\n  epochs: 2\n  batch: 3\n");
  EXPECT_TRUE(contains(message, "r.yaml:4:3: 'batch' is given twice, first in line 2")) << message;
}

TEST(Parse, GoesOnAfterDuplicateKeys) {
  Problems problems;
  const auto root = parse_yaml("a: 1\na: 2\nb: 3\nb: 4\n", "r.yaml", problems);
  ASSERT_TRUE(root.has_value());
  EXPECT_EQ(problems.count(), 2u);
  EXPECT_EQ(root->find("a")->text, "1");
}

TEST(Parse, NamesEveryTabInIndentation) {
  const std::string message = parse_error("train:\n\tbatch: 1\n  \tepochs: 2\n\t# a comment\n\t\n");
  EXPECT_EQ(message,
            "r.yaml:2:1: a tab in front of 'batch'; indent with spaces\n"
            "r.yaml:3:3: a tab in front of 'epochs'; indent with spaces");
}

TEST(Parse, AcceptsATabAfterAColonAndInQuotes) {
  const YamlNode root = parse_yaml("a:\t1\nb: \"x\ty\"\n", "r.yaml");
  EXPECT_EQ(root.find("a")->text, "1");
  EXPECT_EQ(root.find("b")->text, "x\ty");
}

TEST(Parse, RefusesAnchorsAliasesTagsAndSecondDocuments) {
  EXPECT_TRUE(contains(parse_error("a: &x [1]\n"), "r.yaml:1:4: anchors (&name) are not supported"));
  EXPECT_TRUE(contains(parse_error("a: &x 1\nb: *x\n"), "anchors (&name) are not supported"));
  EXPECT_TRUE(contains(parse_error("a: *x\n"), "r.yaml:1:"));
  EXPECT_TRUE(contains(parse_error("a: !!int 3\n"), "tags"));
  EXPECT_TRUE(contains(parse_error("a: 1\n---\nb: 2\n"), "a second document"));
}

TEST(Parse, SaysWhereSyntaxBreaksAndWhatToDo) {
  EXPECT_TRUE(contains(parse_error("a: [1, 2\nb: 3\n"), "r.yaml:2:")) << parse_error("a: [1, 2\nb: 3\n");
  EXPECT_TRUE(contains(parse_error("a: [1, 2\nb: 3\n"), "is a ']'"));
  EXPECT_TRUE(contains(parse_error("a: b: c\n"), "r.yaml:1:5"));
  EXPECT_TRUE(contains(parse_error("a: \"x"), "closing quote"));
  EXPECT_TRUE(contains(parse_error("a: \"x\n"), "r.yaml:1:4: the quote that opens here is never closed"));
  EXPECT_TRUE(contains(parse_error("a: 'x''\n"), "r.yaml:1:4: the quote that opens here is never closed"));
  EXPECT_EQ(parse_yaml("\xEF\xBB\xBF'a': 'it''s'\n", "r.yaml").find("a")->text, "it's");
  EXPECT_TRUE(contains(parse_error("a:\n  b: 1\n c: 2\n"), "r.yaml:3:")) << parse_error("a:\n  b: 1\n c: 2\n");
  EXPECT_TRUE(contains(parse_error("[1, 2]: 3\n"), "where a key is wanted"));
  EXPECT_TRUE(contains(parse_error(": 3\n"), "a key is missing"));
}

TEST(Parse, RefusesBytesThatAreNoText) {
  EXPECT_TRUE(contains(parse_error("a: 1\nb: \xff\n"), "r.yaml:2:4: a byte that is not UTF-8"));
  EXPECT_TRUE(contains(parse_error(std::string_view("a: \0b\n", 6)), "control character (0x00)"));
  EXPECT_TRUE(contains(parse_error("a: \xed\xa0\x80\n"), "UTF-8"));
  EXPECT_EQ(parse_yaml("a: \xc3\xa4\n", "r.yaml").find("a")->text, "\xc3\xa4");
}

TEST(Parse, BoundsDepthAndSize) {
  EXPECT_NO_THROW(parse_yaml(std::string(kMaxDepth, '[') + std::string(kMaxDepth, ']'), "r.yaml"));
  EXPECT_TRUE(contains(parse_error(std::string(kMaxDepth + 1, '[') + std::string(kMaxDepth + 1, ']')),
                       "nested more than 64 deep"));
  EXPECT_NE(parse_error(std::string(100000, '[')), "");
  EXPECT_NE(parse_error(std::string(100000, '{')), "");
  std::string dashes;
  for (int i = 0; i < 5000; ++i) dashes += "- ";
  EXPECT_TRUE(contains(parse_error(dashes), "nested more than 64 deep"));
  EXPECT_TRUE(contains(parse_error("a: " + std::string(kMaxBytes, 'x')), "larger than"));
}

TEST(Parse, NamesAMissingFileAndAFolder) {
  EXPECT_TRUE(contains(usage_error([] { load_yaml("no/such/recipe.yaml"); }),
                       "cannot read no/such/recipe.yaml: No such file or directory"));
  EXPECT_TRUE(contains(usage_error([] { load_yaml("/tmp"); }), "it is a folder"));
}

TEST(Parse, FindsClosingQuotesAfterLettersOfSeveralBytesAndCarriageReturns) {
  const YamlNode root = parse_yaml("a: \xc3\xa4\xe2\x82\xac\r\nb: \"x\"\r\nc: '\xc3\xa4'\n", "r.yaml");
  EXPECT_EQ(root.find("a")->text, "\xc3\xa4\xe2\x82\xac");
  EXPECT_EQ(root.find("b")->text, "x");
  EXPECT_TRUE(contains(parse_error("a: \xc3\xa4\xe2\x82\xac\r\nb: \"x\r\n"), "r.yaml:2:4: the quote"));
}

TEST(Parse, ReadsEmptyTextAsNothing) {
  EXPECT_TRUE(parse_yaml("", "r.yaml").is_null());
  EXPECT_TRUE(parse_yaml("# only a comment\n", "r.yaml").is_null());
}

/// The sample with a few bytes changed, dropped, doubled or spliced.
std::string mutated(std::mt19937& random) {
  static constexpr std::string_view kBytes = ":-[]{}\"'#&*!|>%@`?,\n\t ~\\$=0a\x80\xff";
  std::string text = config_test::kSample;
  const auto pick = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
  for (std::size_t edits = 1 + pick(6); edits > 0 && !text.empty(); --edits) {
    const std::size_t at = pick(text.size());
    switch (pick(4)) {
      case 0:
        text[at] = kBytes[pick(kBytes.size())];
        break;
      case 1:
        text.erase(at, 1 + pick(8));
        break;
      case 2:
        text.insert(at, 1 + pick(3), kBytes[pick(kBytes.size())]);
        break;
      default:
        text.insert(at, text.substr(pick(text.size()), pick(40)));
    }
  }
  return text;
}

TEST(Parse, RandomChangesEitherParseOrAreUsageErrorsWithAPlace) {
  std::mt19937 random(20250101);
  int parsed = 0;
  for (int i = 0; i < 4000; ++i) {
    const std::string text = mutated(random);
    Problems problems;
    const auto root = parse_yaml(text, "r.yaml", problems);
    ASSERT_TRUE(root || !problems.empty()) << text;
    if (!problems.empty()) {
      ASSERT_TRUE(contains(problems.text(), "r.yaml:")) << problems.text();
      continue;
    }
    ++parsed;
    config_test::check_sample(*root, problems);
    const auto changed = difference(*root, parse_yaml(emit(*root), "again.yaml"));
    ASSERT_FALSE(changed.has_value()) << changed->path << ": " << changed->a << " / " << changed->b << "\n" << text;
  }
  EXPECT_GT(parsed, 400);
  EXPECT_LT(parsed, 3600);
}

}  // namespace
}  // namespace athanor
