// Where a job runs and what starts its ranks there: mpirun on this machine or on hosts that were named, or srun inside
// a Slurm allocation.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "launcher/supervisor/host_list.h"

namespace athanor {

enum class LauncherKind { mpirun, srun };
std::string_view name_of(LauncherKind kind);

/// What the command line asks for.
struct PlaceRequest {
  int ranks = 0;                  ///< 0: as many as the hosts take
  std::string hosts;              ///< "h1:4,h2:4"; empty: Slurm's, or this machine
  std::string launcher = "auto";  ///< "auto", "mpirun", "srun"
};

/// What the machine offers; replaced in tests.
struct Surroundings {
  std::map<std::string, std::string> environment;
  int cpus = 1;                                               ///< of this machine, that this process may use
  std::function<bool(const std::string&)> has_program;        ///< on PATH
  std::function<std::string(const std::string&)> node_names;  ///< of a Slurm list, one a line

  std::string get(const std::string& variable) const;
};
Surroundings these_surroundings();

struct Place {
  LauncherKind launcher = LauncherKind::mpirun;
  std::vector<HostSlots> hosts;
  int ranks = 1;
  std::string slurm_job;         ///< empty: outside Slurm
  bool is_this_machine = false;  ///< nobody named hosts: the only one is where the supervisor runs
  std::vector<std::string> warnings;
};

/// Throws UsageError for what cannot be: no launcher, more ranks than the hosts take.
Place find_place(const PlaceRequest& request, const Surroundings& surroundings);

}  // namespace athanor
