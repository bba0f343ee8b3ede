#include "optim/schedule_shapes.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace athanor {
namespace {

double cosine_between(double start, double end, double share) {
  return end + (start - end) / 2 * (1 + std::cos(std::numbers::pi * share));
}

}  // namespace

double StepShape::factor(std::int64_t k) const {
  return std::pow(gamma, static_cast<double>(k / step_size));
}

double MultiStepShape::factor(std::int64_t k) const {
  const auto passed = std::upper_bound(milestones.begin(), milestones.end(), k) - milestones.begin();
  return std::pow(gamma, static_cast<double>(passed));
}

double ExponentialShape::factor(std::int64_t k) const {
  return std::pow(gamma, static_cast<double>(k));
}

double PolynomialShape::factor(std::int64_t k) const {
  return std::pow(1 - static_cast<double>(std::min(k, total)) / static_cast<double>(total), power);
}

double CosineShape::lr_at(std::int64_t k, double base_lr) const {
  std::int64_t length = period;
  if (t_mult == 1) k %= length;
  if (t_mult > 1) {
    for (; k >= length; length *= t_mult) k -= length;
  }
  return cosine_between(base_lr, eta_min, static_cast<double>(k) / static_cast<double>(length));
}

ScheduleValues OneCycleShape::at(std::int64_t k, double peak_lr) const {
  const double first = peak_lr / div_factor;
  const double last = first / final_div_factor;
  struct Phase {
    double end, lr_from, lr_to, momentum_from, momentum_to;
  };
  const double share = rising * static_cast<double>(total);
  const double final_step = static_cast<double>(total) - 1;
  const double position = std::min(static_cast<double>(k), final_step);
  const Phase rise{share - 1, first, peak_lr, max_momentum, base_momentum};
  const Phase back{2 * share - 2, peak_lr, first, base_momentum, max_momentum};
  const Phase decay = three_phase ? Phase{final_step, first, last, max_momentum, max_momentum}
                                  : Phase{final_step, peak_lr, last, base_momentum, max_momentum};
  Phase phase = rise;
  double begin = 0;
  if (position > rise.end) {
    begin = rise.end;
    phase = three_phase ? back : decay;
    if (three_phase && position > back.end) {
      begin = back.end;
      phase = decay;
    }
  }
  // A phase without length (a run of one or two steps) is over as soon as it is met.
  const double done = phase.end > begin ? (position - begin) / (phase.end - begin) : 1;
  const auto between = [&](double from, double to) {
    return cosine ? cosine_between(from, to, done) : from + (to - from) * done;
  };
  ScheduleValues values{.lr = between(phase.lr_from, phase.lr_to), .momentum = std::nullopt};
  if (cycle_momentum) values.momentum = between(phase.momentum_from, phase.momentum_to);
  return values;
}

PlateauState PlateauShape::initial(double base_lr) const {
  const double infinity = std::numeric_limits<double>::infinity();
  return {.lr = base_lr, .best = maximize ? -infinity : infinity, .bad_epochs = 0, .cooldown = 0};
}

PlateauState PlateauShape::observe(PlateauState state, double metric) const {
  const double sign = maximize ? 1 : -1;
  const double bound = relative ? state.best * (1 + sign * threshold) : state.best + sign * threshold;
  if (maximize ? metric > bound : metric < bound) {
    state.best = metric;
    state.bad_epochs = 0;
  } else {
    ++state.bad_epochs;
  }
  if (state.cooldown > 0) {
    --state.cooldown;
    state.bad_epochs = 0;
  }
  if (state.bad_epochs > patience) {
    const double reduced = std::max(state.lr * factor, min_lr);
    if (state.lr - reduced > eps) state.lr = reduced;
    state.cooldown = cooldown;
    state.bad_epochs = 0;
  }
  return state;
}

}  // namespace athanor
