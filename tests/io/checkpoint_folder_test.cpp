#include "io/checkpoint_folder.h"

#include <gmock/gmock.h>

#include <set>

#include "tests/io/sample.h"

namespace athanor::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class CheckpointFolders : public ::testing::Test {
 protected:
  void save(std::int64_t step) {
    CheckpointContents contents = sample_contents();
    contents.step = step;
    write_checkpoint(checkpoints_.path_of(step), contents);
  }

  void flip(std::int64_t step, std::size_t at, int bit) {
    std::vector<std::byte> bytes = file_bytes(checkpoints_.path_of(step));
    bytes.at(at) ^= std::byte{1} << bit;
    write_bytes(checkpoints_.path_of(step), bytes);
  }

  std::set<std::string> names() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(checkpoints_.path())) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }

  TemporaryFolder temporary_;
  CheckpointFolder checkpoints_{temporary_.path()};
};

TEST_F(CheckpointFolders, NewestComesFirstWhateverItsName) {
  EXPECT_EQ(checkpoints_.path_of(7).filename(), "step-000000007.h5");
  for (const char* name : {"step-000000009.h5", "step-1000000000.h5", "step-000000100.h5", "step-.h5", "step--1.h5",
                           "step-1.h5x", "other.h5", "step-000000003.h5.corrupt"}) {
    write_bytes(temporary_ / name, {});
  }
  EXPECT_THAT(checkpoints_.list(), ElementsAre(temporary_ / "step-1000000000.h5", temporary_ / "step-000000100.h5",
                                               temporary_ / "step-000000009.h5"));
}

TEST_F(CheckpointFolders, AnEmptyOrMissingOneHoldsNothing) {
  EXPECT_FALSE(checkpoints_.newest_good());
  EXPECT_FALSE(CheckpointFolder(temporary_ / "missing").newest_good());
}

TEST_F(CheckpointFolders, FallsBackToTheNewestGoodOneAndSaysWhy) {
  for (const int step : {1, 2, 3}) save(step);
  flip(3, 2000, 4);
  const auto found = checkpoints_.newest_good();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->contents.step, 2);
  EXPECT_EQ(found->path, checkpoints_.path_of(2));
  ASSERT_THAT(found->notes, SizeIs(1));
  EXPECT_THAT(found->notes[0], AllOf(HasSubstr("step-000000003.h5"), HasSubstr("damaged"), HasSubstr(".corrupt")));
  EXPECT_THAT(names(), ElementsAre("step-000000001.h5", "step-000000002.h5", "step-000000003.h5.corrupt"));
}

TEST_F(CheckpointFolders, WithNoneGoodTheNotesStay) {
  save(1);
  flip(1, 3, 0);
  EXPECT_FALSE(checkpoints_.newest_good());
  EXPECT_THAT(checkpoints_.notes(), SizeIs(1));
  EXPECT_THAT(names(), ElementsAre("step-000000001.h5.corrupt"));
}

TEST_F(CheckpointFolders, ANewerProgramsFileIsPassedOverAndKept) {
  save(1);
  save(2);
  flip(2, 8, 6);  // the format version
  const auto found = checkpoints_.newest_good();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->contents.step, 1);
  EXPECT_THAT(found->notes, ElementsAre(HasSubstr("newer")));
  EXPECT_THAT(names(), ElementsAre("step-000000001.h5", "step-000000002.h5"));
}

TEST_F(CheckpointFolders, DamageAtAnyPlaceFallsBack) {
  constexpr int kPlaces = 200;
  RandomStream stream(12, Purpose::test, 0, key_of("places"));
  save(1);
  save(2);
  const std::vector<std::byte> good = file_bytes(checkpoints_.path_of(2));
  const auto size = static_cast<std::uint32_t>(good.size());
  for (int i = 0; i < kPlaces; ++i) {
    std::vector<std::byte> bytes = good;
    const std::size_t at = stream.below(i % 4 < 2 ? static_cast<std::uint32_t>(kUserBlockBytes) : size);
    if (i % 2 == 0)
      bytes[at] ^= std::byte{1} << stream.below(8);
    else
      bytes.resize(at);
    write_bytes(checkpoints_.path_of(2), bytes);
    const auto found = checkpoints_.newest_good();
    ASSERT_TRUE(found);
    ASSERT_EQ(found->contents.step, 1) << (i % 2 == 0 ? "flipped at " : "cut to ") << at;
    ASSERT_THAT(found->notes, SizeIs(1));
  }
}

TEST_F(CheckpointFolders, PruningKeepsTheNewestEveryNthAndTheBest) {
  for (int step = 1; step <= 10; ++step) save(step);
  checkpoints_.prune(2, 4, 3, 10);
  EXPECT_THAT(names(), ElementsAre("step-000000003.h5", "step-000000004.h5", "step-000000008.h5", "step-000000009.h5",
                                   "step-000000010.h5"));
  checkpoints_.prune(0, 0, std::nullopt, 10);
  EXPECT_THAT(names(), ElementsAre("step-000000010.h5"));
}

TEST_F(CheckpointFolders, PruningNeverTakesTheOneJustWrittenForALaterOne) {
  for (const int step : {1, 2, 9}) save(step);
  checkpoints_.prune(1, 0, std::nullopt, 2);
  EXPECT_THAT(names(), ElementsAre("step-000000002.h5", "step-000000009.h5"));
}

TEST_F(CheckpointFolders, PreparingRemovesLeftoversAndLeavesNothing) {
  save(1);
  write_bytes(temporary_ / ".step-000000002.h5.4711-0.tmp", {});
  write_bytes(temporary_ / "notes.txt", {});
  checkpoints_.prepare(1000);
  EXPECT_THAT(names(), ElementsAre("notes.txt", "step-000000001.h5"));
}

TEST_F(CheckpointFolders, PreparingMakesTheFolder) {
  const CheckpointFolder deep(temporary_ / "runs" / "a" / "checkpoints");
  deep.prepare(1000);
  EXPECT_TRUE(std::filesystem::is_directory(deep.path()));
}

TEST_F(CheckpointFolders, AFullDiskIsSeenBeforeTheRun) {
  EXPECT_THAT(storage_error_of([&] { checkpoints_.prepare(std::uint64_t{1} << 60); }),
              AllOf(HasSubstr(temporary_.text()), HasSubstr("MB free"), HasSubstr("make room")));
}

TEST_F(CheckpointFolders, AFolderThatCannotBeWrittenIsSeenBeforeTheRun) {
  write_bytes(temporary_ / "file", {});
  const CheckpointFolder below_a_file(temporary_ / "file" / "checkpoints");
  EXPECT_THAT(storage_error_of([&] { below_a_file.prepare(1000); }), HasSubstr("cannot make the folder"));
}

}  // namespace
}  // namespace athanor::test
