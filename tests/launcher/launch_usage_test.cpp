// What `athanor launch` says to a command line that cannot be, without starting anything.
#include <cstdlib>

#include "program.h"

namespace athanor::launcher_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Outcome launch(std::vector<std::string> arguments) {
  const Folders folders;
  write_text(folders.home() / "r.yaml", kTiny);
  arguments.insert(arguments.begin(), "launch");
  const Outcome outcome = run_program(folders, arguments);
  EXPECT_EQ(files_below(folders.home()), std::vector<std::string>{"r.yaml"});
  return outcome;
}

std::string refused(const std::vector<std::string>& arguments) {
  const Outcome outcome = launch(arguments);
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  return outcome.err;
}

TEST(LaunchUsage, SaysWhatIsMissingOrMistyped) {
  EXPECT_THAT(refused({}), HasSubstr("launch -n 2 train RECIPE"));
  EXPECT_THAT(refused({"-n", "0", "train", "r.yaml"}), HasSubstr("wanted a number from 1 to"));
  EXPECT_THAT(refused({"-n", "2", "trian", "r.yaml"}), HasSubstr("did you mean 'train'?"));
  EXPECT_THAT(refused({"--max-restart", "2", "train", "r.yaml"}), HasSubstr("did you mean '--max-restarts'?"));
  EXPECT_THAT(refused({"--hosts", "a:b", "train", "r.yaml"}), HasSubstr("'a:b': behind the colon"));
  EXPECT_THAT(refused({"--hosts", "a,b", "-n", "3", "train", "r.yaml"}), HasSubstr("the hosts (a, b) take 2 ranks"));
  EXPECT_THAT(refused({"launch", "train", "r.yaml"}), HasSubstr("'launch' is no command that ranks run together"));
  EXPECT_THAT(refused({"--launcher", "srun", "train", "r.yaml"}), HasSubstr("sbatch or salloc"));
}

TEST(LaunchUsage, SaysWhereItsOwnOptionsBelong) {
  EXPECT_THAT(refused({"train", "-n", "2", "r.yaml"}),
              HasSubstr("-n is an option of launch and belongs in front of train"));
  EXPECT_THAT(refused({"train", "r.yaml", "--hosts=a:1"}), HasSubstr("--hosts is an option of launch"));
  EXPECT_THAT(launch({"--help"}).out, HasSubstr("COMMAND ARGUMENTS…"));
}

TEST(LaunchUsage, WithoutMpirunSaysWhatToInstall) {
  const std::string path = std::getenv("PATH");
  setenv("PATH", "/no-such-folder", 1);
  const std::string err = refused({"-n", "2", "train", "r.yaml"});
  setenv("PATH", path.c_str(), 1);
  EXPECT_THAT(err, HasSubstr("no mpirun on PATH"));
}

TEST(LaunchUsage, ADryRunShowsWhatWouldBeStarted) {
  const Outcome outcome =
      launch({"--dry-run", "--hosts", "a:2,b:2", "-n", "3", "train", "r.yaml", "--resume", "never", "name=two words"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("mpirun -np 3 --host a:2,b:1 "), HasSubstr(ATHANOR_PROGRAM),
                                 HasSubstr(" train r.yaml --resume never 'name=two words'")));
  EXPECT_THAT(outcome.out, Not(HasSubstr("HEARTBEAT=")));
}

}  // namespace
}  // namespace athanor::launcher_test
