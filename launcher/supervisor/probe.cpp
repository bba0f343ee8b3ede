#include "launcher/supervisor/probe.h"

#include "base/error.h"
#include "base/host_name.h"

namespace athanor {

LauncherCommand probe_command(const Place& place, const std::string& rsh_agent, const std::string& host) {
  if (is_same_host(host, host_name()) || host == "localhost") return {{"true"}, {}};
  if (!place.slurm_job.empty()) {
    // Slurm's own view comes first: a node that is down or drained takes no step, however well it answers.
    return {{"srun", "--overlap", "--nodes=1", "--ntasks=1", "--cpus-per-task=1", "--mem=0", "--nodelist=" + host,
             "--immediate=3", "--quiet", "true"},
            {}};
  }
  LauncherCommand command;
  command.words = {rsh_agent.empty() ? "ssh" : rsh_agent};
  if (rsh_agent.empty()) {
    for (const char* word : {"-o", "BatchMode=yes", "-o", "ConnectTimeout=3", "-x"}) command.words.emplace_back(word);
  }
  command.words.insert(command.words.end(), {host, "true"});
  return command;
}

HostProbe::HostProbe(boost::asio::io_context& io, const Place& place, std::string rsh_agent)
    : io_(io), place_(place), rsh_agent_(std::move(rsh_agent)) {}

void HostProbe::ask(const std::string& host) {
  Question& question = questions_[host];
  if (question.child) return;
  question.until = after_seconds(kMost_s);
  try {
    question.child = std::make_unique<Child>(io_, probe_command(place_, rsh_agent_, host), Output::dropped);
  } catch (const Error&) {
    // Without an agent on PATH nothing is known; mpirun may have another way.
    questions_.erase(host);
  }
}

std::map<std::string, bool> HostProbe::answers() {
  std::map<std::string, bool> answers;
  for (auto& [host, question] : questions_) {
    wait_until(io_, question.until, [&] { return question.child->exit_code().has_value(); });
    answers[host] = question.child->exit_code() == 0;
  }
  return answers;
}

}  // namespace athanor
