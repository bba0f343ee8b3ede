#include "train/run_folder.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>

#include "base/error.h"
#include "train/folders.h"
#include "train/summary.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;
using testing::read_file;
using testing::TemporaryFolder;
using testing::write_file;

/// Recipes here are one line; comments (the provenance) do not count.
std::optional<std::string> compare_last_line(const std::string& before, const std::string& now) {
  const std::string line = before.substr(before.rfind('\n', before.size() - 2) + 1);
  if (line == now) return std::nullopt;
  return "the recipe is " + line + " there";
}

/// As a run does: starts over where there is nothing to go on from.
RunFolder open(const fs::path& path, const std::string& recipe = "lr: 0.1\n", const std::string& provenance = "",
               const AsksForMore& asks_for_more = {}) {
  RunFolder folder = RunFolder::take(path, recipe, compare_last_line, asks_for_more);
  if (!folder.already_done() && !folder.resumable()) folder.start_over(recipe_file_text(provenance, recipe));
  return folder;
}

/// Everything in a folder but the lock, by relative name.
std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = fs::relative(entry.path(), folder).string();
    if (entry.is_regular_file() && name != ".lock") found[name] = read_file(entry.path());
  }
  return found;
}

template <typename Thrown>
std::string message_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Thrown& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(RunFolder, ANewOneHoldsTheRecipeBelowItsProvenance) {
  const TemporaryFolder temporary;
  const fs::path path = temporary.path() / "runs" / "a";
  const RunFolder folder = open(path, "lr: 0.1\n", "athanor 0.1.0\nsome processor");
  EXPECT_FALSE(folder.already_done());
  EXPECT_FALSE(folder.resumable());
  EXPECT_TRUE(folder.previous().empty());
  const std::map<std::string, std::string> want{{"recipe.yaml", "# athanor 0.1.0\n# some processor\nlr: 0.1\n"}};
  EXPECT_EQ(contents(path), want);
}

TEST(RunFolder, AFinishedRunIsLeftAlone) {
  const TemporaryFolder temporary;
  { open(temporary.path()); }
  write_file(temporary.path() / "metrics.jsonl", "{}\n");
  write_summary(temporary.path(), {.status = "done"});
  const auto before = contents(temporary.path());
  EXPECT_TRUE(open(temporary.path()).already_done());
  EXPECT_EQ(contents(temporary.path()), before);
}

TEST(RunFolder, AFinishedRunThatIsAskedForMoreIsNotDone) {
  const TemporaryFolder temporary;
  { open(temporary.path()); }
  write_summary(temporary.path(), {.status = "done"});
  const auto asks_for_more = [](const std::string&, const std::string&) { return true; };
  const RunFolder folder = open(temporary.path(), "lr: 0.1\n", "", asks_for_more);
  EXPECT_FALSE(folder.already_done());
  EXPECT_EQ(read_status(temporary.path() / "previous-1"), "done");
}

TEST(RunFolder, AnUnfinishedRunMovesAsideWholeAndANewOneStarts) {
  const TemporaryFolder temporary;
  for (int attempt = 1; attempt <= 2; ++attempt) {
    { open(temporary.path()); }
    write_file(temporary.path() / "metrics.jsonl", "old\n");
    write_file(temporary.path() / "log.txt", "old log\n");
    write_file(temporary.path() / "notes.txt", "mine");
    write_summary(temporary.path(), {.status = "interrupted"});
    const RunFolder folder = open(temporary.path());
    EXPECT_FALSE(folder.already_done());
    const fs::path previous = temporary.path() / ("previous-" + std::to_string(2 * attempt - 1));
    EXPECT_EQ(folder.previous(), previous);
    const auto moved = contents(previous);
    EXPECT_EQ(moved.size(), 4u);
    EXPECT_EQ(moved.at("metrics.jsonl"), "old\n");
    EXPECT_EQ(moved.at("recipe.yaml"), "lr: 0.1\n");
    EXPECT_EQ(read_status(previous), "interrupted");
    EXPECT_EQ(read_file(temporary.path() / "recipe.yaml"), "lr: 0.1\n");
    EXPECT_FALSE(fs::exists(temporary.path() / "metrics.jsonl"));
    EXPECT_FALSE(fs::exists(temporary.path() / "summary.json"));
    EXPECT_EQ(read_file(temporary.path() / "notes.txt"), "mine");
  }
}

TEST(RunFolder, CheckpointsMakeARunResumableNewestFirst) {
  const TemporaryFolder temporary;
  { open(temporary.path()); }
  const fs::path checkpoints = temporary.path() / "checkpoints";
  for (const char* name : {"step-000000090.h5", "step-000000100.h5", "step-2000000000.h5", "step-1.h5.part", "best.h5",
                           "step-x.h5", "step-.h5"}) {
    write_file(checkpoints / name, "");
  }
  const auto before = contents(temporary.path());
  RunFolder folder = open(temporary.path());
  EXPECT_TRUE(folder.resumable());
  EXPECT_EQ(contents(temporary.path()), before);
  const std::vector<fs::path> want{checkpoints / "step-2000000000.h5", checkpoints / "step-000000100.h5",
                                   checkpoints / "step-000000090.h5"};
  EXPECT_EQ(folder.checkpoints(), want);

  folder.start_over("lr: 0.1\n");
  EXPECT_FALSE(folder.resumable());
  EXPECT_FALSE(fs::exists(checkpoints));
  EXPECT_TRUE(fs::exists(temporary.path() / "previous-1/checkpoints/best.h5"));
}

TEST(RunFolder, OneThatGoesOnKeepsItsFilesAndIsNoLongerDone) {
  const TemporaryFolder temporary;
  { open(temporary.path()); }
  write_file(temporary.path() / "metrics.jsonl", "{}\n");
  write_file(temporary.path() / "checkpoints/step-000000001.h5", "");
  write_summary(temporary.path(), {.status = "done"});
  {
    RunFolder folder = open(temporary.path(), "lr: 0.1\n", "", [](const auto&, const auto&) { return true; });
    EXPECT_TRUE(folder.resumable());
    folder.go_on("# longer\nlr: 0.1\n", 1);
  }
  EXPECT_EQ(read_file(temporary.path() / "recipe.yaml"), "# longer\nlr: 0.1\n");
  EXPECT_EQ(read_file(temporary.path() / "metrics.jsonl"), "{}\n");
  EXPECT_TRUE(open(temporary.path()).resumable());
}

TEST(RunFolder, AnotherRecipeIsRefusedAndNothingOverwritten) {
  const TemporaryFolder temporary;
  { open(temporary.path()); }
  write_file(temporary.path() / "metrics.jsonl", "old\n");
  for (const char* status : {"interrupted", "done"}) {
    write_summary(temporary.path(), {.status = status});
    const auto before = contents(temporary.path());
    const std::string message = message_of<UsageError>([&] { open(temporary.path(), "lr: 0.2\n"); });
    EXPECT_NE(message.find("the recipe is lr: 0.1"), std::string::npos) << message;
    EXPECT_NE(message.find("--run"), std::string::npos) << message;
    EXPECT_NE(message.find(temporary.path().string()), std::string::npos) << message;
    EXPECT_EQ(contents(temporary.path()), before);
  }
}

TEST(RunFolder, ALiveRunInAnotherProcessKeepsItsFolderUntilItDies) {
  const TemporaryFolder temporary;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const RunFolder folder = open(temporary.path());
    if (write(ready[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  const auto before = contents(temporary.path());
  const std::string message = message_of<StorageError>([&] { open(temporary.path()); });
  EXPECT_NE(message.find("in use by pid " + std::to_string(child) + " on "), std::string::npos) << message;
  EXPECT_EQ(contents(temporary.path()), before);

  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ready[0]);
  close(ready[1]);
  EXPECT_NO_THROW(open(temporary.path()));
}

TEST(RunFolder, OneThatAnotherProcessHoldsIsWaitedForAsLongAsOneLikes) {
  const TemporaryFolder temporary;
  auto holder = std::make_unique<FileLock>(temporary.path() / ".lock");
  std::vector<std::string> told;
  const auto take = [&](const LockPatience& patience) {
    return RunFolder::take(temporary.path(), "lr: 0.1\n", compare_last_line, {}, patience);
  };
  const auto tell = [&](const std::string& text) { told.push_back(text); };

  int asked = 0;
  const std::string refusal =
      message_of<StorageError>([&] { take({.most_s = 1e6, .gives_up = [&] { return ++asked == 3; }, .tell = tell}); });
  EXPECT_NE(refusal.find("in use by pid "), std::string::npos) << refusal;
  ASSERT_EQ(told.size(), 1U) << "once";
  EXPECT_NE(told[0].find("in use by pid "), std::string::npos) << told[0];

  // The holder goes while the other one waits.
  EXPECT_NO_THROW(
      take({.most_s = 1e6, .gives_up = [] { return false; }, .tell = [&](const auto&) { holder.reset(); }}));
}

TEST(RunFolder, FilesThatOnlyLookLikeARunsAreRefusedAndLeftAlone) {
  for (const char* name : {"recipe.yaml", "log.txt"}) {
    const TemporaryFolder temporary;
    write_file(temporary.path() / name, "mine");
    const std::string message = message_of<UsageError>([&] { open(temporary.path()); });
    EXPECT_NE(message.find(std::string("holds a '") + name), std::string::npos) << message;
    EXPECT_FALSE(fs::exists(temporary.path() / ".lock"));
    EXPECT_EQ(read_file(temporary.path() / name), "mine");
  }
}

TEST(RunFolder, OtherFilesStayWhereTheyAre) {
  const TemporaryFolder temporary;
  write_file(temporary.path() / "slurm-7.out", "mine");
  open(temporary.path());
  EXPECT_EQ(read_file(temporary.path() / "slurm-7.out"), "mine");
  EXPECT_TRUE(fs::exists(temporary.path() / "recipe.yaml"));
}

TEST(RunFolder, AFileInItsPlaceIsAStorageError) {
  const TemporaryFolder temporary;
  write_file(temporary.path() / "taken", "text");
  for (const fs::path& path : {temporary.path() / "taken", temporary.path() / "taken" / "below"}) {
    const std::string message = message_of<StorageError>([&] { open(path); });
    EXPECT_NE(message.find("--run"), std::string::npos) << message;
  }
  EXPECT_EQ(read_file(temporary.path() / "taken"), "text");
}

TEST(RunFolder, AFolderThatCannotBeWrittenIsAStorageError) {
  if (geteuid() != 0) {
    const TemporaryFolder temporary;
    fs::permissions(temporary.path(), fs::perms::owner_read | fs::perms::owner_exec);
    EXPECT_THROW(open(temporary.path()), StorageError);
    fs::permissions(temporary.path(), fs::perms::owner_all);
  } else {
    // Permissions do not stop root; the kernel's own folders do.
    EXPECT_THROW(open("/proc/self/athanor"), StorageError);
  }
}

}  // namespace
}  // namespace athanor
