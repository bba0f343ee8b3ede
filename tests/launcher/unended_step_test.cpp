// `athanor launch` in an allocation whose Slurm does not let a job step go. A real one does that for minutes, so that
// scripts stand in for it: tests/cluster has the real one.
#include <cstdlib>

#include "program.h"

namespace athanor::launcher_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

void write_program(const fs::path& file, const std::string& text) {
  write_text(file, "#!/bin/sh\n" + text);
  fs::permissions(file, fs::perms::owner_all);
}

TEST(UnendedStep, IsNamed) {
  const Folders folders;
  const fs::path bin = folders.home() / "bin", name = folders.home() / "name";
  write_program(bin / "scontrol", "echo node1\n");
  write_program(bin / "srun", "for word; do case $word in --job-name=*) echo \"${word#*=}\" >" + name.string() +
                                  ";; esac; done\nexit 6\n");
  write_program(bin / "squeue", "echo \"42.3 $(cat " + name.string() + ")\"\n");
  write_program(bin / "scancel", "exit 0\n");
  const std::string path = std::getenv("PATH");
  setenv("PATH", (bin.string() + ":" + path).c_str(), 1);
  setenv("SLURM_JOB_ID", "42", 1);
  setenv("SLURM_JOB_NODELIST", "node1", 1);
  const Outcome outcome = run_program(folders, {"launch", "--max-restarts", "0", "train", "r.yaml"});
  for (const char* variable : {"SLURM_JOB_ID", "SLURM_JOB_NODELIST"}) unsetenv(variable);
  setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(outcome.code, 6) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("Slurm has not ended step 42.3 after 6 s"), HasSubstr("run folder")));
}

}  // namespace
}  // namespace athanor::launcher_test
