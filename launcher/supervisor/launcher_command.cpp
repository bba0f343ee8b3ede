#include "launcher/supervisor/launcher_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include "train/shell_words.h"

namespace athanor {
namespace {

void append(std::vector<std::string>& words, std::initializer_list<std::string> more) {
  words.insert(words.end(), more);
}

/// What ranks on other hosts need to see as it is here.
bool travels(const std::string& variable) {
  return variable.starts_with("ATHANOR_") || variable.starts_with("NCCL_") || variable == "OMP_NUM_THREADS";
}

/// Nobody told mpirun of another way to reach hosts. ssh waits minutes for one that does not answer, and asks for
/// passwords where nobody can type them.
bool uses_plain_ssh(const Surroundings& surroundings) {
  for (const char* name : {"OMPI_MCA_plm_rsh_agent", "OMPI_MCA_orte_rsh_agent", "OMPI_MCA_plm_rsh_args"}) {
    if (!surroundings.get(name).empty()) return false;
  }
  return surroundings.has_program && surroundings.has_program("ssh");
}

LauncherCommand mpirun_command(const Place& place, const Surroundings& surroundings, const RanksToStart& ranks) {
  LauncherCommand command;
  std::string hosts;
  for (const HostSlots& host : ranks.hosts)
    hosts += fmt::format("{}{}:{}", hosts.empty() ? "" : ",", host.name, host.slots);
  const int world_size = slots_of(ranks.hosts);
  // Ranks share the cores of a host out among themselves, so that mpirun binds nothing.
  command.words = {"mpirun",    "-np", std::to_string(world_size), "--host", hosts, "--map-by", "slot",
                   "--bind-to", "none"};
  append(command.words, {"--mca", "odls_base_sigkill_timeout", std::to_string(kKillDelay_s)});
  if (place.is_this_machine && world_size > surroundings.cpus) {
    append(command.words, {"--mca", "mpi_yield_when_idle", "1"});
  }
  if (!ranks.rsh_agent.empty()) append(command.words, {"--mca", "plm_rsh_agent", ranks.rsh_agent});
  if (ranks.rsh_agent.empty() && !place.is_this_machine && uses_plain_ssh(surroundings)) {
    append(command.words, {"--mca", "plm_rsh_args", "-o ConnectTimeout=10 -o BatchMode=yes"});
  }
  for (const auto& [name, value] : surroundings.environment) {
    if (travels(name) && name != "ATHANOR_HEARTBEAT") append(command.words, {"-x", name});
  }
  // By name: a value would stand in the list of processes, for everybody to read.
  append(command.words, {"-x", "ATHANOR_HEARTBEAT"});
  if (geteuid() == 0) {
    command.environment["OMPI_ALLOW_RUN_AS_ROOT"] = "1";
    command.environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
  }
  return command;
}

LauncherCommand srun_command(const Surroundings& surroundings, const RanksToStart& ranks) {
  LauncherCommand command;
  std::string hosts;
  for (const HostSlots& host : ranks.hosts) hosts += (hosts.empty() ? "" : ",") + host.name;
  command.words = {"srun",
                   "--mpi=pmix",
                   fmt::format("--ntasks={}", slots_of(ranks.hosts)),
                   fmt::format("--nodes={}", ranks.hosts.size()),
                   "--nodelist=" + hosts,
                   "--overlap",
                   "--kill-on-bad-exit=1",
                   "--wait=5",
                   "--job-name=" + ranks.step_name};
  // Since 22.05 srun no longer takes it from sbatch.
  const std::string cpus = surroundings.get("SLURM_CPUS_PER_TASK");
  if (!cpus.empty()) command.environment["SRUN_CPUS_PER_TASK"] = cpus;
  // With Slurm's other way of exchanging addresses a rank crashed in MPI_Init in 2 of 24 starts, in none of 36 with
  // this.
  if (surroundings.get("SLURM_PMIX_FENCE").empty()) command.environment["SLURM_PMIX_FENCE"] = "tree";
  return command;
}

}  // namespace

LauncherCommand launcher_command(const Place& place, const Surroundings& surroundings, const RanksToStart& ranks) {
  LauncherCommand command = place.launcher == LauncherKind::srun ? srun_command(surroundings, ranks)
                                                                 : mpirun_command(place, surroundings, ranks);
  command.words.insert(command.words.end(), ranks.command.begin(), ranks.command.end());
  command.environment["ATHANOR_HEARTBEAT"] = ranks.invitation;
  return command;
}

std::string to_text(const LauncherCommand& command) {
  std::string text;
  for (const auto& [name, value] : command.environment) {
    if (name != "ATHANOR_HEARTBEAT") text += fmt::format("{}={} ", name, shell_word(value));
  }
  for (const std::string& word : command.words) text += shell_word(word) + " ";
  text.pop_back();
  return text;
}

}  // namespace athanor
