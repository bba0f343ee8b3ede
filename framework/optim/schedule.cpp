#include "optim/schedule.h"

#include <algorithm>

#include "base/error.h"

namespace athanor {
namespace {

/// Turns a shape into values at position k.
struct ValuesAt {
  std::int64_t k;
  double lr;
  const PlateauState& state;

  ScheduleValues operator()(const CosineShape& shape) const { return {shape.lr_at(k, lr), std::nullopt}; }
  ScheduleValues operator()(const OneCycleShape& shape) const { return shape.at(k, lr); }
  ScheduleValues operator()(const PlateauShape&) const { return {state.lr, std::nullopt}; }
  template <typename Shape>
  ScheduleValues operator()(const Shape& shape) const {
    return {lr * shape.factor(k), std::nullopt};
  }
};

}  // namespace

Schedule::Schedule(ScheduleContext context, ScheduleShape shape, bool per_epoch, std::int64_t warmup_steps,
                   double warmup_factor, std::string metric)
    : context_(context),
      shape_(std::move(shape)),
      per_epoch_(per_epoch),
      warmup_steps_(warmup_steps),
      warmup_factor_(warmup_factor),
      metric_(std::move(metric)) {}

ScheduleValues Schedule::at(std::int64_t step) const {
  ATHANOR_CHECK(!std::holds_alternative<PlateauShape>(shape_), "reduce_on_plateau needs its state");
  return at(step, PlateauState{});
}

ScheduleValues Schedule::at(std::int64_t step, const PlateauState& state) const {
  const std::int64_t after_warmup = std::max<std::int64_t>(step - warmup_steps_, 0);
  const std::int64_t k = per_epoch_ ? after_warmup / context_.steps_per_epoch : after_warmup;
  if (step >= warmup_steps_) return std::visit(ValuesAt{k, context_.lr, state}, shape_);
  const double share = static_cast<double>(step) / static_cast<double>(warmup_steps_);
  ScheduleValues values = std::visit(ValuesAt{0, context_.lr, state}, shape_);
  const double full = std::holds_alternative<PlateauShape>(shape_) ? state.lr : context_.lr;
  values.lr = full * (warmup_factor_ + (1 - warmup_factor_) * share);
  return values;
}

PlateauState Schedule::initial_state() const {
  const auto* plateau = std::get_if<PlateauShape>(&shape_);
  return plateau != nullptr ? plateau->initial(context_.lr) : PlateauState{};
}

PlateauState Schedule::observe(const PlateauState& state, double metric) const {
  const auto* plateau = std::get_if<PlateauShape>(&shape_);
  return plateau != nullptr ? plateau->observe(state, metric) : state;
}

}  // namespace athanor
