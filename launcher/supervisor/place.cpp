#include "launcher/supervisor/place.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <sstream>

#include "base/cpu_set.h"
#include "base/error.h"
#include "launcher/supervisor/child.h"
#include "launcher/supervisor/find_program.h"

namespace athanor {
namespace {

/// The nodes of the allocation, and how many tasks Slurm would start on each.
std::vector<HostSlots> hosts_of_allocation(const Surroundings& surroundings) {
  const std::string nodes = surroundings.get("SLURM_JOB_NODELIST");
  std::istringstream lines(surroundings.node_names(nodes));
  std::vector<std::string> names;
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) names.push_back(line);
  }
  const std::string tasks = surroundings.get("SLURM_TASKS_PER_NODE");
  const std::vector<int> counts = tasks.empty() ? std::vector<int>(names.size(), 1) : parse_tasks_per_node(tasks);
  if (names.empty() || counts.size() != names.size()) {
    throw UsageError(
        "Slurm job {}: {} nodes in SLURM_JOB_NODELIST ({}) and {} in SLURM_TASKS_PER_NODE ({}); say which hosts to use "
        "with --hosts h1:4,h2:4",
        surroundings.get("SLURM_JOB_ID"), names.size(), nodes, counts.size(), tasks);
  }
  std::vector<HostSlots> hosts;
  for (std::size_t i = 0; i < names.size(); ++i) hosts.push_back({names[i], counts[i]});
  return hosts;
}

LauncherKind choose_launcher(const PlaceRequest& request, const Surroundings& surroundings, bool in_slurm) {
  const bool has_srun = surroundings.has_program("srun"), has_mpirun = surroundings.has_program("mpirun");
  if (request.launcher == "srun") {
    if (!in_slurm) {
      throw UsageError("--launcher srun works inside an allocation: start this from sbatch or salloc, or leave it out");
    }
    if (!has_srun) throw UsageError("--launcher srun: there is no srun on PATH; load Slurm's module, or use mpirun");
    return LauncherKind::srun;
  }
  if (request.launcher == "auto" && in_slurm && has_srun) return LauncherKind::srun;
  if (!has_mpirun) {
    throw UsageError(
        "there is no mpirun on PATH to start ranks with: load the module of the MPI that this program was built with, "
        "or install openmpi-bin");
  }
  return LauncherKind::mpirun;
}

void want_room(const PlaceRequest& request, Place& place, const Surroundings& surroundings) {
  const int slots = slots_of(place.hosts);
  place.ranks = request.ranks == 0 ? slots : request.ranks;
  if (place.ranks > slots) {
    throw UsageError("-n {}: the hosts ({}) take {} ranks; {}", place.ranks, names_text(place.hosts), slots,
                     request.hosts.empty() ? "ask sbatch for more tasks" : "give them more with --hosts HOST:RANKS");
  }
  if (place.is_this_machine && place.ranks > surroundings.cpus) {
    place.warnings.push_back(
        fmt::format("{} ranks share {} of this machine: each is slower than it could be", place.ranks,
                    surroundings.cpus == 1 ? "the only core" : fmt::format("{} cores", surroundings.cpus)));
  }
}

}  // namespace

std::string_view name_of(LauncherKind kind) {
  return kind == LauncherKind::srun ? "srun" : "mpirun";
}

std::string Surroundings::get(const std::string& variable) const {
  const auto found = environment.find(variable);
  return found == environment.end() ? "" : found->second;
}

Surroundings these_surroundings() {
  Surroundings here;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != std::string::npos) here.environment[text.substr(0, equals)] = text.substr(equals + 1);
  }
  here.cpus = std::max<int>(1, static_cast<int>(allowed_cpu_ids().size()));
  here.has_program = [](const std::string& name) { return !find_program(name).empty(); };
  here.node_names = [](const std::string& list) {
    constexpr double kMost_s = 10;
    boost::asio::io_context io;
    return output_of(io, {{"scontrol", "show", "hostnames", list}, {}}, kMost_s).value_or("");
  };
  return here;
}

Place find_place(const PlaceRequest& request, const Surroundings& surroundings) {
  Place place;
  place.slurm_job = surroundings.get("SLURM_JOB_ID");
  place.launcher = choose_launcher(request, surroundings, !place.slurm_job.empty());
  if (!request.hosts.empty()) {
    place.hosts = parse_host_list(request.hosts);
  } else if (!place.slurm_job.empty()) {
    place.hosts = hosts_of_allocation(surroundings);
  } else {
    place.hosts = {{"localhost", std::max(1, request.ranks)}};
    place.is_this_machine = true;
  }
  want_room(request, place, surroundings);
  return place;
}

}  // namespace athanor
