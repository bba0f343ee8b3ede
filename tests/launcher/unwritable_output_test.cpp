// What cannot be printed is lost, and nothing else is.
#include "program.h"

namespace athanor::launcher_test {
namespace {

/// Standard error on a full disk, and standard output too where `is_out_full`.
int code_on_full_disk(const Folders& folders, const std::vector<std::string>& arguments, bool is_out_full) {
  fs::create_symlink("/dev/full", folders.err());
  if (is_out_full) fs::create_symlink("/dev/full", folders.out());
  const pid_t child = start_program(folders, arguments, "/no-such-folder");
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(UnwritableOutput, AFailureKeepsItsCode) {
  const Folders folders;
  EXPECT_EQ(code_on_full_disk(folders, {"launch", "-n", "2", "trian", "r.yaml"}, false), 2);
}

TEST(UnwritableOutput, AFailureIsStillAnObjectOnTheOtherStream) {
  const Folders folders;
  EXPECT_EQ(code_on_full_disk(folders, {"plan", "gone.yaml", "--json"}, false), 2);
  EXPECT_EQ(nlohmann::json::parse(read_file(folders.out()), nullptr, false).value("exit_code", 0), 2);
}

TEST(UnwritableOutput, ATrainingEndsAsIfAllHadBeenSaidButForItsCode) {
  const Folders folders;
  write_text(folders.home() / "r.yaml", kTiny);
  EXPECT_EQ(code_on_full_disk(folders, {"train", "r.yaml", "--run", "here"}, true), 4);
  EXPECT_EQ(nlohmann::json::parse(read_file(folders.home() / "here/summary.json")).value("status", ""), "done");
}

}  // namespace
}  // namespace athanor::launcher_test
