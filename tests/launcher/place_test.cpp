// Where a job runs and what starts it: from what the machine offers to the words of mpirun and srun.
#include "launcher/supervisor/place.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "base/error.h"
#include "launcher/supervisor/launcher_command.h"

namespace athanor {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

Surroundings machine(const std::vector<std::string>& programs) {
  Surroundings here;
  here.cpus = 4;
  here.has_program = [programs](const std::string& name) {
    return std::find(programs.begin(), programs.end(), name) != programs.end();
  };
  here.node_names = [](const std::string&) { return ""; };
  return here;
}

Surroundings allocation() {
  Surroundings here = machine({"mpirun", "srun"});
  here.environment = {{"SLURM_JOB_ID", "42"},
                      {"SLURM_JOB_NODELIST", "n[1-3]"},
                      {"SLURM_TASKS_PER_NODE", "2(x2),1"},
                      {"SLURM_CPUS_PER_TASK", "8"}};
  here.node_names = [](const std::string& list) { return list == "n[1-3]" ? "n1\nn2\nn3\n" : ""; };
  return here;
}

std::string refusal_of(const PlaceRequest& request, const Surroundings& surroundings) {
  try {
    find_place(request, surroundings);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Place, OfALaptopIsThisMachineUnderMpirun) {
  const Place place = find_place({.ranks = 3}, machine({"mpirun", "srun"}));
  EXPECT_EQ(place.launcher, LauncherKind::mpirun);
  EXPECT_EQ(place.ranks, 3);
  EXPECT_TRUE(place.is_this_machine);
  EXPECT_THAT(place.warnings, ElementsAre());
  EXPECT_EQ(find_place({}, machine({"mpirun"})).ranks, 1);
}

TEST(Place, MoreRanksThanCoresAreStartedWithAWarning) {
  EXPECT_THAT(find_place({.ranks = 5}, machine({"mpirun"})).warnings, ElementsAre(HasSubstr("5 ranks share 4 cores")));
}

TEST(Place, OfAnAllocationIsItsNodesUnderSrun) {
  const Place place = find_place({}, allocation());
  EXPECT_EQ(place.launcher, LauncherKind::srun);
  EXPECT_EQ(place.hosts, (std::vector<HostSlots>{{"n1", 2}, {"n2", 2}, {"n3", 1}}));
  EXPECT_EQ(place.ranks, 5);
  EXPECT_EQ(place.slurm_job, "42");
  EXPECT_EQ(find_place({.launcher = "mpirun"}, allocation()).launcher, LauncherKind::mpirun);
}

TEST(Place, WhatCannotBeIsRefusedWithWhatToDo) {
  EXPECT_THAT(refusal_of({.ranks = 2}, machine({})), HasSubstr("no mpirun on PATH"));
  EXPECT_THAT(refusal_of({.launcher = "srun"}, machine({"srun"})), HasSubstr("sbatch or salloc"));
  EXPECT_THAT(refusal_of({.ranks = 6}, allocation()), HasSubstr("take 5 ranks; ask sbatch for more tasks"));
  EXPECT_THAT(refusal_of({.ranks = 3, .hosts = "a,b"}, machine({"mpirun"})), HasSubstr("--hosts HOST:RANKS"));
  Surroundings odd = allocation();
  odd.environment["SLURM_TASKS_PER_NODE"] = "2";
  EXPECT_THAT(refusal_of({}, odd), HasSubstr("3 nodes in SLURM_JOB_NODELIST (n[1-3]) and 1 in SLURM_TASKS_PER_NODE"));
}

const RanksToStart kRanks{{{"n1", 2}, {"n3", 1}}, {"athanor", "train", "r.yaml"}, "secret", "", "athanor-7-1"};

TEST(LauncherCommand, OfMpirunPlacesRanksAndRaisesTheKillDelay) {
  Surroundings here = machine({"mpirun"});
  here.environment = {{"ATHANOR_DATA", "/d"}, {"HOME", "/h"}, {"OMP_NUM_THREADS", "2"}};
  const Place place = find_place({.hosts = "n1:2,n3:1"}, here);
  RanksToStart ranks = kRanks;
  ranks.rsh_agent = "/bin/agent";
  const LauncherCommand command = launcher_command(place, here, ranks);
  const std::string text = to_text(command);
  EXPECT_THAT(text, HasSubstr("mpirun -np 3 --host n1:2,n3:1 "));
  EXPECT_THAT(text, HasSubstr(" --bind-to none "));
  EXPECT_THAT(text, HasSubstr(" odls_base_sigkill_timeout 5 "));
  EXPECT_THAT(text, HasSubstr(" plm_rsh_agent /bin/agent "));
  EXPECT_THAT(text, HasSubstr(" -x ATHANOR_DATA -x OMP_NUM_THREADS "));
  EXPECT_THAT(text, Not(HasSubstr("HOME")));
  EXPECT_THAT(text, ::testing::EndsWith(" athanor train r.yaml"));
}

TEST(LauncherCommand, OfMpirunsOwnSshWaitsForNobodyLong) {
  const Place place = find_place({.hosts = "n1:2,n3:1"}, machine({"mpirun", "ssh"}));
  const auto text_on = [&](const Surroundings& here) { return to_text(launcher_command(place, here, kRanks)); };
  Surroundings here = machine({"mpirun", "ssh"});
  EXPECT_THAT(text_on(here), HasSubstr(" plm_rsh_args '-o ConnectTimeout=10 -o BatchMode=yes' "));
  here.environment["OMPI_MCA_plm_rsh_agent"] = "rsh";
  EXPECT_THAT(text_on(here), Not(HasSubstr("plm_rsh_args"))) << "it may not know ssh's options";
  EXPECT_THAT(text_on(machine({"mpirun"})), Not(HasSubstr("plm_rsh_args")));
}

TEST(LauncherCommand, KeepsTheKeyOutOfTheListOfProcesses) {
  for (const Surroundings& here : {machine({"mpirun"}), allocation()}) {
    const Place place = find_place({.ranks = 3}, here);
    const LauncherCommand command = launcher_command(place, here, kRanks);
    EXPECT_THAT(command.words, Not(Contains(HasSubstr("secret"))));
    EXPECT_THAT(to_text(command), Not(HasSubstr("secret")));
    EXPECT_EQ(command.environment.at("ATHANOR_HEARTBEAT"), "secret");
  }
}

TEST(LauncherCommand, OfSrunNamesItsStepAndItsNodes) {
  const LauncherCommand command = launcher_command(find_place({.ranks = 3}, allocation()), allocation(), kRanks);
  EXPECT_THAT(command.words, IsSupersetOf({"srun", "--mpi=pmix", "--ntasks=3", "--nodes=2", "--nodelist=n1,n3",
                                           "--overlap", "--job-name=athanor-7-1"}));
  EXPECT_EQ(command.environment.at("SRUN_CPUS_PER_TASK"), "8");
  EXPECT_EQ(command.environment.at("SLURM_PMIX_FENCE"), "tree");
}

}  // namespace
}  // namespace athanor
