// The schedule of a run: learning rate (and momentum, where it is cycled) as a pure function of the step, so that a
// resumed run needs nothing but its step number. Only reduce_on_plateau has a past; it is an explicit PlateauState.
#pragma once

#include <string>
#include <string_view>

#include "config/attributes.h"
#include "optim/schedule_shapes.h"

namespace athanor {

/// What a schedule needs to know of the run.
struct ScheduleContext {
  double lr = 0;                   ///< optimizer.lr
  std::optional<double> momentum;  ///< cycled_momentum(optimizer): none, and one_cycle leaves momentum alone
  std::int64_t steps_per_epoch = 1;
  std::int64_t total_steps = 1;  ///< updates of the whole run, warm-up included
};

/// A linear warm-up (torch's LinearLR, always by steps) and then a shape, which counts from the end of the warm-up
/// (torch's SequentialLR).
class Schedule {
 public:
  Schedule(ScheduleContext context, ScheduleShape shape, bool per_epoch, std::int64_t warmup_steps,
           double warmup_factor, std::string metric);

  /// The values for the update after `step` earlier ones. Not for reduce_on_plateau.
  ScheduleValues at(std::int64_t step) const;
  /// The same, for every schedule: others than reduce_on_plateau ignore the state.
  ScheduleValues at(std::int64_t step, const PlateauState& state) const;

  /// "loss" or "accuracy" when observe() wants that metric after every evaluation, else empty.
  const std::string& metric() const { return metric_; }
  PlateauState initial_state() const;
  /// The state after an evaluation; unchanged for schedules without one.
  PlateauState observe(const PlateauState& state, double metric) const;

  std::int64_t warmup_steps() const { return warmup_steps_; }

 private:
  ScheduleContext context_;
  ScheduleShape shape_;
  bool per_epoch_;
  std::int64_t warmup_steps_;
  double warmup_factor_;
  std::string metric_;
};

/// The schedule of a name (docs/recipe.md lists them); attributes left out take the schema's default. Throws
/// UsageError for an unknown name, a missing attribute or settings that exclude each other.
Schedule make_schedule(std::string_view name, const Attributes& attributes, const ScheduleContext& context);

}  // namespace athanor
