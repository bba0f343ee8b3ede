#include "launcher/supervisor/goodput.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace athanor {
namespace {

/// Times between faults, in seconds.
class Faults {
 public:
  explicit Faults(const GoodputModel& model)
      : mean_s_(model.fault_every_s), numbers_(model.seed, Purpose::test, 0, key_of("goodput")) {}

  double next() { return -mean_s_ * std::log((numbers_.next() + 0.5) * 0x1p-32); }

 private:
  double mean_s_;
  RandomStream numbers_;
};

/// What a stretch of training that lasts `life_s` keeps, and where the rest of it went, into `result`. Returns the
/// seconds of training that last.
double live(const GoodputModel& model, double life_s, Goodput& result) {
  const double period_s = model.interval_s + model.stall_s;
  const double begun = std::floor(life_s / period_s);
  const double kept = std::max(0.0, std::floor((life_s - model.write_s) / period_s));
  // A life may end within a save.
  const double rest_s = life_s - begun * period_s;
  const double saving_s = begun * model.stall_s + std::max(0.0, rest_s - model.interval_s);
  result.saves += static_cast<std::int64_t>(kept);
  result.saving_s += saving_s;
  result.redone_s += life_s - saving_s - kept * model.interval_s;
  return kept * model.interval_s;
}

}  // namespace

Goodput simulate_goodput(const GoodputModel& model) {
  const double end_s = model.hours * 3600;
  Goodput result;
  Faults faults(model);
  double now_s = 0, kept_s = 0;
  while (true) {
    const double life_s = faults.next();
    if (now_s + life_s >= end_s) {
      // What is in hand when the day is over is not lost: it has only not been saved yet.
      const double redone_s = result.redone_s;
      kept_s += live(model, end_s - now_s, result) + (result.redone_s - redone_s);
      result.redone_s = redone_s;
      break;
    }
    kept_s += live(model, life_s, result);
    now_s += life_s;
    ++result.faults;
    double down_s = 0;
    for (double quiet_s = faults.next(); quiet_s < model.detect_s + model.restart_s; quiet_s = faults.next()) {
      down_s += quiet_s;
      ++result.faults;
    }
    down_s = std::min(down_s + model.detect_s + model.restart_s, end_s - now_s);
    result.restarting_s += down_s;
    now_s += down_s;
    if (now_s >= end_s) break;
  }
  result.share = kept_s / end_s;
  return result;
}

double expected_goodput(const GoodputModel& model) {
  const double mean_s = model.fault_every_s;
  return model.interval_s * std::exp(-model.write_s / mean_s) /
         (std::expm1((model.interval_s + model.stall_s) / mean_s) * mean_s *
          std::exp((model.detect_s + model.restart_s) / mean_s));
}

double best_goodput_interval_s(const GoodputModel& model) {
  // The share has one maximum over the interval; its logarithm is searched by golden section.
  const auto share = [&](double log_interval) {
    GoodputModel tried = model;
    tried.interval_s = std::exp(log_interval);
    return expected_goodput(tried);
  };
  constexpr double kGolden = 0.6180339887498949;
  double low = std::log(std::max(1e-3, model.write_s)), high = std::max(low, std::log(10 * model.fault_every_s));
  for (int round = 0; round < 100; ++round) {
    const double left = high - kGolden * (high - low), right = low + kGolden * (high - low);
    (share(left) < share(right) ? low : high) = share(left) < share(right) ? left : right;
  }
  return std::exp((low + high) / 2);
}

}  // namespace athanor
