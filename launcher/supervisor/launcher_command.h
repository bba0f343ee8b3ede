// The command that starts the ranks of an attempt: words and environment of mpirun or srun.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "launcher/supervisor/place.h"

namespace athanor {

struct LauncherCommand {
  std::vector<std::string> words;
  std::map<std::string, std::string> environment;  ///< on top of our own
};

struct RanksToStart {
  std::vector<HostSlots> hosts;      ///< with as many slots as each gets ranks
  std::vector<std::string> command;  ///< program and arguments of a rank
  std::string invitation;            ///< for ATHANOR_HEARTBEAT
  std::string rsh_agent;             ///< how mpirun reaches other hosts; empty: its own choice
  std::string step_name;             ///< by which Slurm's step of this attempt is found again
};

/// Seconds between what mpirun does to ranks that it ends: SIGCONT, this long, SIGTERM, this long, SIGKILL. Its own 1 s
/// is too short to save in; more would hold up a start in which a rank dies before it has joined.
inline constexpr int kKillDelay_s = 5;

LauncherCommand launcher_command(const Place& place, const Surroundings& surroundings, const RanksToStart& ranks);

/// As a person would type it: the key is left out.
std::string to_text(const LauncherCommand& command);

}  // namespace athanor
