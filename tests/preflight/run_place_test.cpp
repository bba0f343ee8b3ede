#include "preflight/run_place.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "train/folders.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

TEST(RunPlace, IsTheFolderThatARunFolderWillBeMadeIn) {
  const TemporaryFolder root;
  EXPECT_EQ(existing_part(root.path() / "runs" / "x"), root.path());
  EXPECT_EQ(existing_part(root.path()), root.path());
  EXPECT_EQ(existing_part("no-such-folder/x"), fs::current_path());
}

TEST(RunPlace, IsAsItWasAfterTheTrials) {
  const TemporaryFolder root;
  const auto alone = make_self_communicator();
  EXPECT_EQ(check_shared(*alone, root.path()).status, CheckStatus::ok);
  const DiskSpeed speed = measure_disk(root.path(), 3'000'000, 10);
  EXPECT_EQ(speed.bytes, 3'000'000u);
  EXPECT_GT(speed.seconds, 0);
  EXPECT_TRUE(fs::is_empty(root.path()));
}

TEST(RunPlace, IsNotWrittenForLongerThanAsked) {
  const TemporaryFolder root;
  EXPECT_LT(measure_disk(root.path(), std::uint64_t{1} << 40, 0.05).bytes, std::uint64_t{1} << 40);
}

TEST(RunPlace, ThatTakesNoFilesIsSaidToAllRanks) {
  const auto alone = make_self_communicator();
  const Finding found = check_shared(*alone, "/proc");
  EXPECT_EQ(found.status, CheckStatus::failed);
  EXPECT_EQ(found.code, ExitCode::storage);
  EXPECT_THAT(found.text, AllOf(HasSubstr("/proc/.athanor-check-"), HasSubstr("--run")));
  EXPECT_THROW(measure_disk("/proc", 1000, 1), StorageError);
}

TEST(RunPlace, ADiskTooSlowForTheCheckpointsIsAWarning) {
  const DiskSpeed slow{.bytes = 16'000'000, .seconds = 8};
  EXPECT_EQ(judge_disk("/runs", slow, 100'000'000).status, CheckStatus::ok);
  EXPECT_THAT(judge_disk("/runs", slow, 100'000'000).text, HasSubstr("a checkpoint of 100 MB takes about 50 s"));
  EXPECT_EQ(judge_disk("/runs", slow, 400'000'000).status, CheckStatus::warning);
  EXPECT_EQ(judge_disk("/runs", slow, 0).status, CheckStatus::ok);
}

}  // namespace
}  // namespace athanor
