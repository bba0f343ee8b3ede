// What share of a long job's time becomes training that lasts, with saves, faults and restarts: simulated fault by
// fault, and as the closed form that the simulation must agree with.
#pragma once

#include <cstdint>

namespace athanor {

struct GoodputModel {
  double hours = 24;           ///< that are simulated
  double fault_every_s = 600;  ///< mean time between faults, exponentially distributed; they also hit restarts
  double detect_s = 1;         ///< from a fault until it is known
  double restart_s = 5;        ///< from then until the next step begins
  double stall_s = 0.05;       ///< that a save holds up training for
  double write_s = 0;          ///< from the end of that until the checkpoint counts; at most interval_s
  double interval_s = 60;      ///< of training between saves
  std::uint64_t seed = 0;
};

struct Goodput {
  double share = 0;  ///< of the time, spent on training that was not lost
  std::int64_t faults = 0, saves = 0;
  double redone_s = 0;      ///< training that a fault took back
  double saving_s = 0;      ///< training that stood still for saves
  double restarting_s = 0;  ///< from faults to the next step
};

Goodput simulate_goodput(const GoodputModel& model);

/// The share that is expected over a long time. A life of exponential length L ~ Exp(M) keeps ⌊(L − w) ÷ (τ + δ)⌋ saves
/// of τ seconds each; a restart of R seconds that is itself interrupted begins again, so it takes M(e^{R/M} − 1):
///   share = τ e^{−w/M} ÷ ((e^{(τ+δ)/M} − 1) · M e^{R/M})
/// which is Daly's (2006, eq. 13) for w = 0.
double expected_goodput(const GoodputModel& model);

/// The interval with the largest expected share, not below write_s.
double best_goodput_interval_s(const GoodputModel& model);

}  // namespace athanor
