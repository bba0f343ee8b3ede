#include "launcher/supervisor/slurm_step.h"

#include <sstream>

#include "launcher/supervisor/child.h"
#include "launcher/supervisor/pump.h"

namespace athanor {
namespace {

/// "42.3" of the step with that name; "" where Slurm knows none, nothing where Slurm does not answer.
std::optional<std::string> find_step(boost::asio::io_context& io, const std::string& job,
                                     const std::string& step_name) {
  constexpr double kMost_s = 5;
  const std::optional<std::string> text =
      output_of(io, {{"squeue", "--steps", "--noheader", "--jobs=" + job, "--format=%i %j"}, {}}, kMost_s);
  if (!text) return std::nullopt;
  std::istringstream lines(*text);
  std::string found;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string id, name;
    words >> id >> name;
    if (name == step_name) found = id;
  }
  return found;
}

}  // namespace

std::optional<std::string> kill_slurm_step(boost::asio::io_context& io, const std::string& job,
                                           const std::string& step_name, double most_s) {
  const SteadyTime until = after_seconds(most_s);
  for (;;) {
    const std::optional<std::string> step = find_step(io, job, step_name);
    if (step && step->empty()) return std::nullopt;
    if (step) {
      Child child(io, {{"scancel", "--signal=KILL", *step}, {}}, Output::dropped);
      wait_until(io, until, [&] { return child.exit_code().has_value(); });
    }
    if (std::chrono::steady_clock::now() >= until) return step.value_or("");
    wait_until(io, after_seconds(0.3), [] { return false; });
  }
}

}  // namespace athanor
