// How often to save: what a save costs against what a fault loses. Young 1974, "A first order approximation to the
// optimum checkpoint interval"; Daly 2006, "A higher order estimate of the optimum checkpoint interval for restart
// dumps", eq. 37.
#pragma once

#include <cstdint>
#include <string>

#include "launcher/supervisor/job_status.h"

namespace athanor {

/// Seconds of training between saves that lose least, for a save that holds up training for `stall_s` and faults that
/// come every `fault_every_s`. Both > 0.
double best_interval_s(double stall_s, double fault_every_s);

/// Share of the time that is lost to saves and to work done again, to first order: stall ÷ interval + (interval ÷ 2 +
/// write) ÷ fault_every. `write_s`: from the snapshot until the checkpoint is on the disk.
double lost_share(double interval_s, double stall_s, double write_s, double fault_every_s);

/// What a job has measured of itself.
struct IntervalFigures {
  double stall_s = 0;  ///< that a save holds up training for; 0: none was made yet
  double write_s = 0;  ///< of a save, in the background
  double step_s = 0;   ///< 0: not known
  double uptime_s = 0;
  int faults = 0;  ///< that ended an attempt
  std::size_t hosts = 1;
  std::int64_t every_steps = 0;  ///< between checkpoints now; 0: only at the end
  std::int64_t total_steps = 0;  ///< of the run; 0: not known
};

/// Until this many faults were seen, faults are taken to come as often as kDaysBetweenFaultsOfAHost says; after one, at
/// least as often as once in the time since the start.
inline constexpr int kFaultsToMeasure = 2;
/// Between what large clusters report (a node fails about every 150 days: Kokolis et al. 2024, "Revisiting reliability
/// in large-scale machine learning research clusters") and what shared ones with preemption see. Being wrong by a
/// factor of 4 makes the interval wrong by 2, which costs a quarter more of what is a small loss.
inline constexpr double kDaysBetweenFaultsOfAHost = 30;

double fault_every_s(const IntervalFigures& figures);

/// What to set and why, in a sentence or two; empty while there is too little to go by. Never more than the run's
/// steps.
std::string interval_advice(const IntervalFigures& figures);
/// The same from a status.
std::string interval_advice(const JobStatus& status);

}  // namespace athanor
