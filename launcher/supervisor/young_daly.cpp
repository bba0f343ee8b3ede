#include "launcher/supervisor/young_daly.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "train/units_text.h"

namespace athanor {
namespace {

/// A gain of less than this share of the time is not worth a change, nor is a shorter one in a whole run that is too
/// short for the best interval.
constexpr double kWorthwhile = 0.001, kWorthwhile_s = 60;

std::string short_duration_text(double seconds) {
  if (seconds < 1) return fmt::format("{:.3g} ms", seconds * 1e3);
  return seconds < 10 ? fmt::format("{:.1f} s", seconds) : duration_text(seconds);
}

std::string share_text(double share) {
  return share >= 1 ? "all" : fmt::format("{:.2g} %", share * 100);
}

/// Where the faults' frequency comes from.
std::string fault_rate_text(const IntervalFigures& figures) {
  const std::string every = short_duration_text(fault_every_s(figures));
  if (figures.faults >= kFaultsToMeasure) return fmt::format("a fault comes every {}", every);
  return fmt::format("a fault is taken to come every {}, until {} were seen", every, kFaultsToMeasure);
}

std::string beyond_run_text(const IntervalFigures& figures, double wanted_s) {
  return fmt::format(
      "the interval that loses least, {}, is no shorter than the run; a save holds up training for {}, {}",
      short_duration_text(wanted_s), short_duration_text(figures.stall_s), fault_rate_text(figures));
}

}  // namespace

double best_interval_s(double stall_s, double fault_every_s) {
  if (stall_s >= 2 * fault_every_s) return fault_every_s;
  const double ratio = stall_s / (2 * fault_every_s);
  return std::sqrt(2 * stall_s * fault_every_s) * (1 + std::sqrt(ratio) / 3 + ratio / 9) - stall_s;
}

double lost_share(double interval_s, double stall_s, double write_s, double fault_every_s) {
  return stall_s / interval_s + (interval_s / 2 + write_s) / fault_every_s;
}

double fault_every_s(const IntervalFigures& figures) {
  if (figures.faults >= kFaultsToMeasure) return figures.uptime_s / figures.faults;
  const double usual_s =
      kDaysBetweenFaultsOfAHost * 86400 / static_cast<double>(std::max<std::size_t>(1, figures.hosts));
  return figures.faults == 1 ? std::min(usual_s, figures.uptime_s) : usual_s;
}

std::string interval_advice(const IntervalFigures& figures) {
  if (figures.stall_s <= 0 || figures.step_s <= 0 || figures.uptime_s <= 0) return "";
  const double every_s = fault_every_s(figures);
  // A save that has not reached the disk when the next one is due would only make it wait.
  const double wanted_s = std::max(best_interval_s(figures.stall_s, every_s), figures.write_s);
  const double wanted_steps = std::max(1.0, std::round(wanted_s / figures.step_s));
  const bool is_beyond_run = figures.total_steps > 0 && wanted_steps >= static_cast<double>(figures.total_steps);
  const std::int64_t steps = is_beyond_run ? figures.total_steps : static_cast<std::int64_t>(wanted_steps);
  const double interval_s = static_cast<double>(steps) * figures.step_s;
  const double best = lost_share(interval_s, figures.stall_s, figures.write_s, every_s);
  std::string now = "now only at the end";
  if (figures.every_steps == 0 && is_beyond_run) {
    return fmt::format("a checkpoint only at the end is fine for this run: {}", beyond_run_text(figures, wanted_s));
  }
  if (figures.every_steps > 0) {
    const std::int64_t now_steps =
        figures.total_steps > 0 ? std::min(figures.every_steps, figures.total_steps) : figures.every_steps;
    const double now_s = static_cast<double>(now_steps) * figures.step_s;
    const double lost = lost_share(now_s, figures.stall_s, figures.write_s, every_s);
    // Then interval_s is the whole run.
    if (is_beyond_run && (lost - best) * interval_s < kWorthwhile_s) {
      return fmt::format(
          "a checkpoint every {} is fine for this run, and saving less often gains nothing worth having: {}",
          plural(figures.every_steps, "step"), beyond_run_text(figures, wanted_s));
    }
    if (lost - best < kWorthwhile) {
      return fmt::format("a checkpoint every {} ({}) is as good as any: a save holds up training for {}, {}",
                         plural(figures.every_steps, "step"), short_duration_text(now_s),
                         short_duration_text(figures.stall_s), fault_rate_text(figures));
    }
    now = fmt::format("now every {}, which loses {}", plural(figures.every_steps, "step"), share_text(lost));
  }
  return fmt::format(
      "checkpoint.every_steps={} (every {}) would lose least, {} of the time: a save holds up training for {}, {}; {}",
      steps, short_duration_text(interval_s), share_text(best), short_duration_text(figures.stall_s),
      fault_rate_text(figures), now);
}

std::string interval_advice(const JobStatus& status) {
  std::vector<double> steps_s;
  for (const watch::RankPicture& rank : status.picture.ranks) {
    if (rank.step_s > 0) steps_s.push_back(rank.step_s);
  }
  if (steps_s.empty()) return "";
  std::nth_element(steps_s.begin(), steps_s.begin() + static_cast<std::ptrdiff_t>(steps_s.size() / 2), steps_s.end());
  const auto ended_an_attempt = [](const FaultRecord& fault) { return fault.exit_code != 0; };
  return interval_advice(IntervalFigures{
      .stall_s = status.picture.news.checkpoint_stall_s,
      .write_s = status.picture.news.checkpoint_write_s,
      .step_s = steps_s[steps_s.size() / 2],
      .uptime_s = status.uptime_s,
      .faults = static_cast<int>(std::count_if(status.faults.begin(), status.faults.end(), ended_an_attempt)),
      .hosts = status.hosts.size(),
      .every_steps = status.picture.about.checkpoint_every_steps,
      .total_steps = status.picture.about.total_steps});
}

}  // namespace athanor
