#include "launcher/supervisor/probe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>
#include <sstream>

#include "base/error.h"
#include "base/host_name.h"
#include "launcher/supervisor/find_program.h"
#include "watch/local_addresses.h"

namespace athanor {
namespace {

/// As mpirun reads it: programs with arguments, "ssh -p 2222 : rsh", of which the first that is there is taken.
std::vector<std::string> agent_words(const std::string& agent) {
  std::vector<std::string> first;
  std::istringstream alternatives(agent);
  for (std::string alternative; std::getline(alternatives, alternative, ':');) {
    std::istringstream parts(alternative);
    const std::vector<std::string> words{std::istream_iterator<std::string>(parts), {}};
    if (!words.empty() && !find_program(words.front()).empty()) return words;
    if (first.empty()) first = words;
  }
  return first;
}

}  // namespace

LauncherCommand probe_command(const Place& place, const std::string& rsh_agent, const std::string& host,
                              const std::vector<std::string>& addresses, std::uint16_t port) {
  if (is_same_host(host, host_name()) || host == "localhost") return {{"true"}, {}};
  if (!place.slurm_job.empty()) {
    // Slurm's own view comes first: a node that is down or drained takes no step, however well it answers.
    return {{"srun", "--overlap", "--nodes=1", "--ntasks=1", "--cpus-per-task=1", "--mem=0", "--nodelist=" + host,
             "--immediate=3", "--quiet", "true"},
            {}};
  }
  LauncherCommand command;
  command.words = agent_words(rsh_agent);
  if (command.words.empty()) {
    command.words = {"ssh"};
    for (const char* word : {"-o", "BatchMode=yes", "-o", "ConnectTimeout=3", "-x"}) command.words.emplace_back(word);
  }
  // An agent's way may be another network than the ranks'. Without bash nothing more is asked.
  const std::string call = fmt::format(
      "command -v bash >/dev/null || exit 0; for a in {}; do bash -c \"exec 3<>/dev/tcp/$a/{}\" && exit 0; done; exit "
      "1",
      fmt::join(addresses, " "), port);
  command.words.insert(command.words.end(), {host, call});
  return command;
}

HostProbe::HostProbe(boost::asio::io_context& io, const Place& place, std::string rsh_agent)
    : io_(io),
      acceptor_(io, boost::asio::ip::tcp::endpoint(boost::asio::ip::tcp::v4(), 0)),
      place_(place),
      rsh_agent_(std::move(rsh_agent)) {
  take_callers();
}

void HostProbe::take_callers() {
  acceptor_.async_accept([this](const boost::system::error_code& error, const boost::asio::ip::tcp::socket&) {
    if (!error) take_callers();
  });
}

void HostProbe::ask(const std::string& host) {
  Question& question = questions_[host];
  if (question.child) return;
  question.until = after_seconds(kMost_s);
  try {
    question.child = std::make_unique<Child>(
        io_, probe_command(place_, rsh_agent_, host, watch::local_addresses(), acceptor_.local_endpoint().port()),
        Output::dropped);
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
