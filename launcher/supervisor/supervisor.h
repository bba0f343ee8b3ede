// Runs a job to its end over as many attempts as that takes: starts the ranks, hears what happens to them, and starts
// them again on the hosts that are left, from the newest checkpoint that verifies.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>
#include <string>
#include <vector>

#include "launcher/supervisor/attempt.h"
#include "launcher/supervisor/host_ledger.h"
#include "launcher/supervisor/job_record.h"
#include "launcher/supervisor/place.h"
#include "launcher/supervisor/probe.h"
#include "launcher/supervisor/restart_policy.h"

namespace athanor {

struct SupervisorOptions {
  Place place;
  Surroundings surroundings;
  std::vector<std::string> command;  ///< program and arguments of a rank
  std::string rsh_agent;
  double start_timeout_s = 0;  ///< from the launcher's start until all ranks have called; 0: default_start_timeout_s()
  RestartLimits limits;
  bool restartable = true;  ///< the command goes on where it was
};

class Supervisor {
 public:
  explicit Supervisor(SupervisorOptions options);

  /// To the end of the job; the exit code for whoever started it.
  int run();
  /// Any thread.
  JobStatus status() const { return record_.status(); }

 private:
  int run_attempts();
  double start_timeout_s(int ranks) const;
  void begin_attempt(const std::vector<HostSlots>& hosts, const HostLedger::Choice& choice);
  AttemptEnd run_attempt(const std::vector<HostSlots>& hosts, HostProbe& probe);
  void on_event(const watch::Event& event, const std::vector<HostSlots>& hosts, HostProbe& probe);
  void on_warning(const watch::Event& event);
  void on_first_step();
  void show_binding(int looks_left);
  bool has_failed_device(const watch::Event& event) const;
  void blame(const std::vector<std::string>& own_names, const std::vector<HostSlots>& hosts, HostProbe& probe);
  void ask_silent_hosts(const std::vector<HostSlots>& hosts, HostProbe& probe) const;
  void ask(const std::string& host, HostProbe& probe) const;
  void note_fault(std::string_view kind, const std::vector<std::string>& hosts, const std::string& text);
  HostLedger::Choice choose_hosts(const std::vector<HostSlots>& last, HostProbe& probe);
  void say_restart(const AttemptEnd& end, const HostLedger::Choice& choice, double delay_s) const;
  int finish_stopped();
  int finish_unsaved(const AttemptEnd& end);
  int finish(int code, const std::string& why);

  /// Where the time between a fault and the next step goes.
  struct RestartTimes {
    double ending_s = 0, choosing_s = 0, meeting_s = 0;
  };

  const SupervisorOptions options_;
  boost::asio::io_context io_;
  StopRequests stop_;
  RestartPolicy policy_;
  HostLedger ledger_;
  JobRecord record_;
  RestartTimes restart_;
  std::optional<SteadyTime> detected_;  ///< when the fault was known that the coming attempt makes good
  SteadyTime begun_;                    ///< the attempt
  int number_ = 0;                      ///< of the attempt
  boost::asio::steady_timer binding_timer_{io_};
  std::vector<std::string> shown_map_;
};

}  // namespace athanor
