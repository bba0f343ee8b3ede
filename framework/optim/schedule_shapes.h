// How the learning rate runs after warm-up: one small value per schedule, each a pure function of a position k that
// counts from 0 in epochs or steps. Semantics are those of torch.optim.lr_scheduler.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

namespace athanor {

struct ScheduleValues {
  double lr = 0;
  std::optional<double> momentum;  ///< set by schedules that cycle it; none: the optimizer's own
};

struct ConstantShape {
  double factor(std::int64_t) const { return 1; }
};

/// StepLR: gamma^⌊k / step_size⌋.
struct StepShape {
  std::int64_t step_size = 1;
  double gamma = 0.1;
  double factor(std::int64_t k) const;
};

/// MultiStepLR: gamma^(milestones passed).
struct MultiStepShape {
  std::vector<std::int64_t> milestones;  ///< sorted
  double gamma = 0.1;
  double factor(std::int64_t k) const;
};

/// ExponentialLR: gamma^k.
struct ExponentialShape {
  double gamma = 1;
  double factor(std::int64_t k) const;
};

/// PolynomialLR: (1 − min(k, total) / total)^power.
struct PolynomialShape {
  std::int64_t total = 1;
  double power = 1;
  double factor(std::int64_t k) const;
};

/// CosineAnnealingLR (t_mult 0: one cosine that swings on past `period`) and CosineAnnealingWarmRestarts, whose next
/// period is t_mult times longer (Loshchilov & Hutter 2017, eq. 5).
struct CosineShape {
  std::int64_t period = 1;
  std::int64_t t_mult = 0;
  double eta_min = 0;
  double lr_at(std::int64_t k, double base_lr) const;
};

/// OneCycleLR (Smith & Topin 2018): up to the base rate, then down to almost nothing; momentum the other way.
struct OneCycleShape {
  std::int64_t total = 1;
  double rising = 0.3;  ///< share of the steps until the peak
  double div_factor = 25;
  double final_div_factor = 1e4;
  bool cosine = true;  ///< else straight lines
  bool three_phase = false;
  double base_momentum = 0.85;
  double max_momentum = 0.95;
  bool cycle_momentum = true;
  ScheduleValues at(std::int64_t k, double peak_lr) const;
};

/// What reduce_on_plateau remembers between evaluations. All of it goes into a checkpoint.
struct PlateauState {
  double lr = 0;    ///< in force now, before warm-up
  double best = 0;  ///< best value of the metric so far
  std::int64_t bad_epochs = 0;
  std::int64_t cooldown = 0;  ///< evaluations left in which nothing counts as bad
  friend bool operator==(const PlateauState&, const PlateauState&) = default;
};

/// ReduceLROnPlateau.
struct PlateauShape {
  bool maximize = false;  ///< accuracy; else loss
  double factor = 0.1;
  std::int64_t patience = 10;
  double threshold = 1e-4;
  bool relative = true;
  std::int64_t cooldown = 0;
  double min_lr = 0;
  double eps = 1e-8;
  PlateauState initial(double base_lr) const;
  PlateauState observe(PlateauState state, double metric) const;
};

using ScheduleShape = std::variant<ConstantShape, StepShape, MultiStepShape, ExponentialShape, PolynomialShape,
                                   CosineShape, OneCycleShape, PlateauShape>;

}  // namespace athanor
