#include "launcher/ranks.h"

#include <cstdlib>
#include <string_view>

#include "launcher/output.h"
#include "train/phases.h"

namespace athanor {
namespace {

bool is_first = true;

std::unique_ptr<Communicator> make_noted_communicator() {
  // Where processes of one step do not find each other, one of them says so.
  const char* place = std::getenv("SLURM_PROCID");
  is_first = place == nullptr || std::string_view(place) == "0";
  std::unique_ptr<Communicator> communicator = make_communicator();
  is_first = communicator->rank() == 0;
  return communicator;
}

}  // namespace

void run_on_ranks(const char* command, const std::function<void(Communicator&)>& act) {
  const std::unique_ptr<Communicator> communicator = make_noted_communicator();
  const auto act_and_report = [&] {
    try {
      want_alike(*communicator, command, "command");
      act(*communicator);
    } catch (const OnAllRanks&) {
      set_outcome(*communicator, current_failure());
      // A launcher ends the others when the first rank leaves with an error, so nobody leaves before it is said.
      if (is_first) report_failure(current_failure());
      communicator->barrier("reporting");
      throw;
    }
  };
  end_together(*communicator, act_and_report, report_failure);
}

void run_on_first_rank(const char* command, const std::function<void(Communicator&)>& act) {
  constexpr double kLongest_s = 86400;
  run_on_ranks(command, [&](Communicator& communicator) {
    communicator.set_timeout(kLongest_s);
    first_does(communicator, command, [&] { act(communicator); });
  });
}

bool is_first_rank() {
  return is_first;
}

void join_ranks() {
  if (was_launched()) set_outcome(*make_noted_communicator(), {ExitCode::usage, "the command line cannot be read"});
}

}  // namespace athanor
