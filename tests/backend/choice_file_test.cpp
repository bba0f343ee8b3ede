// What is measured once is used by every process of the machine: the first one's word holds.
#include "backend/choice_file.h"

#include <gmock/gmock.h>

#include <fstream>
#include <thread>

#include "base/text_file.h"
#include "support/temporary_folder.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;

constexpr const char* kFirstLine = "choices of a test: here";

class ChoiceFileTest : public ::testing::Test {
 protected:
  ChoiceFile open() const { return ChoiceFile(file_, kFirstLine); }
  void write(const std::string& text) const { std::ofstream(file_, std::ios::binary) << text; }

  testing::TemporaryFolder folder_;
  fs::path file_ = folder_ / "choices.txt";
};

TEST_F(ChoiceFileTest, HoldsWhatWasSettled) {
  EXPECT_EQ(open().find("a"), std::nullopt);
  EXPECT_EQ(open().settle("a", "x", "1 us", std::nullopt), "x");
  EXPECT_EQ(open().settle("b", "y", "2 us", std::nullopt), "y");
  EXPECT_THAT(open().find("a"), Optional(std::string("x")));
  EXPECT_THAT(open().find("b"), Optional(std::string("y")));
  EXPECT_EQ(read_text(file_), std::string(kFirstLine) + "\na\tx\t1 us\nb\ty\t2 us\n");
}

TEST_F(ChoiceFileTest, TheFirstToSettleIsRight) {
  ChoiceFile first = open(), second = open();
  EXPECT_EQ(first.find("a"), std::nullopt);
  EXPECT_EQ(second.find("a"), std::nullopt);
  EXPECT_EQ(first.settle("a", "x", "", std::nullopt), "x");
  EXPECT_EQ(second.settle("a", "y", "", std::nullopt), "x");
  EXPECT_THAT(second.find("a"), Optional(std::string("x")));
}

TEST_F(ChoiceFileTest, ManyThatSettleAtOnceAgree) {
  constexpr int kWriters = 8, kKeys = 20;
  std::vector<Choices> said(kWriters);
  {
    std::vector<std::jthread> writers;
    for (int writer = 0; writer < kWriters; ++writer) {
      writers.emplace_back([&, writer] {
        ChoiceFile file = open();
        for (int key = 0; key < kKeys; ++key) {
          const std::string name = std::to_string(key);
          said[static_cast<std::size_t>(writer)][name] =
              file.settle(name, std::to_string(writer), "", std::nullopt).value();
        }
      });
    }
  }
  for (const Choices& each : said) EXPECT_EQ(each, said[0]);
  EXPECT_EQ(choices_from(read_text(file_), kFirstLine), said[0]);
}

TEST_F(ChoiceFileTest, WhatCannotBeUsedIsReplaced) {
  open().settle("a", "x", "", std::nullopt);
  EXPECT_EQ(open().settle("a", "y", "", "x"), "y");
  EXPECT_THAT(open().find("a"), Optional(std::string("y")));
}

TEST_F(ChoiceFileTest, AFileOfAnotherPlaceCountsAsEmptyAndIsWrittenAnew) {
  write("choices of a test: elsewhere\na\tx\t\n");
  EXPECT_EQ(open().find("a"), std::nullopt);
  EXPECT_EQ(open().settle("a", "y", "", std::nullopt), "y");
  EXPECT_EQ(read_text(file_), std::string(kFirstLine) + "\na\ty\t\n");
}

TEST_F(ChoiceFileTest, DamagedLinesAreLeftOut) {
  write(std::string(kFirstLine) + "\nnonsense\n\t\t\na\tx\t\nb\tthe end is miss");
  EXPECT_THAT(open().find("a"), Optional(std::string("x")));
  EXPECT_EQ(open().find("b"), std::nullopt);
  EXPECT_EQ(open().settle("c", "z", "", std::nullopt), "z");
  EXPECT_THAT(open().find("c"), Optional(std::string("z")));
}

TEST_F(ChoiceFileTest, WhereNothingCanBeWrittenThatIsSaidOnce) {
  std::ofstream(folder_ / "a file") << "in the way";
  ChoiceFile file(folder_ / "a file" / "choices.txt", kFirstLine);
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(file.settle("a", "x", "", std::nullopt), std::nullopt);
  EXPECT_EQ(file.settle("b", "y", "", std::nullopt), std::nullopt);
  EXPECT_FALSE(file.keeps());
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("a file/choices.txt"));
  EXPECT_THAT(said, HasSubstr("ATHANOR_CACHE"));
  EXPECT_EQ(said.find("ATHANOR_CACHE"), said.rfind("ATHANOR_CACHE"));
}

TEST_F(ChoiceFileTest, WithoutAPathNothingIsKept) {
  ChoiceFile nowhere({}, kFirstLine);
  EXPECT_FALSE(nowhere.keeps());
  EXPECT_EQ(nowhere.settle("a", "x", "", std::nullopt), std::nullopt);
  EXPECT_EQ(nowhere.find("a"), std::nullopt);
}

TEST(ChoicesAsText, AreReadBackWhereTheyHold) {
  const Choices choices{{"a", "x y"}, {"b", "z"}};
  const std::string text = text_of(choices, kFirstLine);
  EXPECT_EQ(choices_from(text, kFirstLine), choices);
  EXPECT_TRUE(choices_from(text, "another first line").empty());
  EXPECT_THAT(choice_rows("first\na\tb\tc\n", "first"), ElementsAre(ElementsAre("a", "b", "c")));
}

TEST(ChoiceFileName, IsOneAnywhere) {
  EXPECT_EQ(choice_file_name("engines", "NVIDIA H100 80GB/HBM3 driver 13.0"),
            "engines_NVIDIA_H100_80GB_HBM3_driver_13.0.txt");
}

}  // namespace
}  // namespace athanor
