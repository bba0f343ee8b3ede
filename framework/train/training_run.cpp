#include "train/training_run.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "train/bad_numbers.h"
#include "train/phases.h"
#include "train/units_text.h"
#include "train/verify_ranks.h"

namespace athanor {
namespace {

/// Steps whose speed is kept for the median.
constexpr std::size_t kMostRates = std::size_t{1} << 18;

/// This rank's rows of batches of `rows`.
LoaderOptions loader_of_rank(const Sizing& sizing, std::int64_t rows) {
  const std::int64_t rows_of_shard = rows / sizing.shards;
  LoaderOptions options;
  options.batch = rows;
  options.first_row = sizing.local.first * rows_of_shard;
  options.last_row = sizing.local.last * rows_of_shard;
  return options;
}

LoaderOptions training_loader(const RunParts& parts, std::int64_t step) {
  LoaderOptions options = loader_of_rank(parts.sizing, parts.recipe.train.batch);
  options.seed = parts.recipe.train.seed;
  const LoaderCrew crew = training_crew(parts.recipe, parts.sizing);
  options.workers = crew.workers;
  options.depth = crew.depth;
  options.start_epoch = step / parts.sizing.steps_per_epoch;
  options.start_step = step % parts.sizing.steps_per_epoch;
  options.augmentations = parts.data.augmentations;
  options.subset = parts.data.train_subset;
  options.watched = {parts.data.train->source_files(), parts.data.test->source_files()};
  return options;
}

LoaderOptions evaluation_loader(const RunParts& parts, const std::vector<std::int64_t>& subset) {
  LoaderOptions options = loader_of_rank(parts.sizing, parts.sizing.evaluation_rows);
  options.mode = LoaderMode::evaluate;
  options.subset = subset;
  options.depth = kEvaluationDepth;
  return options;
}

Schedule schedule_of(const RunParts& parts) {
  return make_schedule(parts.recipe.schedule.name, parts.recipe.schedule.attributes,
                       {.lr = parts.optimizer.lr,
                        .momentum = cycled_momentum(parts.optimizer),
                        .steps_per_epoch = parts.sizing.steps_per_epoch,
                        .total_steps = parts.sizing.total_steps});
}

RunState start_of(const RunParts& parts, const Schedule& schedule) {
  if (parts.start) return *parts.start;
  RunState state;
  state.plateau = schedule.initial_state();
  return state;
}

double seconds_between(std::chrono::steady_clock::time_point start, std::chrono::steady_clock::time_point end) {
  return std::chrono::duration<double>(end - start).count();
}

bool is_power_of_two(std::int64_t count) {
  return (count & (count - 1)) == 0;
}

}  // namespace

TrainingRun::TrainingRun(const RunParts& parts, const RunFiles& files)
    : parts_(parts),
      activity_(parts.communicator.activity()),
      reporter_(parts.communicator),
      metrics_(files.metrics),
      loader_(*parts.data.train, training_loader(parts, parts.start ? parts.start->step : 0)),
      test_(*parts.data.test, evaluation_loader(parts, {})),
      schedule_(schedule_of(parts)),
      state_(start_of(parts, schedule_)),
      first_step_(state_.step),
      known_(state_.step),
      earlier_seconds_(state_.train_seconds),
      checkpointing_({parts.recipe.checkpoint, parts.executable, parts.communicator, metrics_, files.checkpoints,
                      state_.step > 0 ? state_.step : -1}) {
  if (!parts.data.validation_subset.empty()) {
    validation_ = std::make_unique<Loader>(*parts.data.train, evaluation_loader(parts, parts.data.validation_subset));
  }
  const std::int64_t steps = std::max<std::int64_t>(0, parts.sizing.total_steps - state_.step);
  rates_.resize(std::min(static_cast<std::size_t>(steps), kMostRates));
  update_summary();
}

/// The median of the speeds, also where the run ends by an error.
TrainingRun::~TrainingRun() {
  rates_.resize(std::min(rates_.size(), rate_count_));
  if (rates_.empty()) return;
  const auto middle = rates_.begin() + static_cast<std::ptrdiff_t>(rates_.size() / 2);
  std::nth_element(rates_.begin(), middle, rates_.end());
  parts_.summary.images_per_s = *middle;
}

void TrainingRun::run(const StopSignals& stop) {
  start_ = step_end_ = Clock::now();
  const std::int64_t total_steps = parts_.sizing.total_steps;
  train_until(total_steps, stop);
  activity_.set_phase(watch::Phase::ending);
  // A request that comes after the last step finds nothing left to stop.
  const bool complete = state_.step >= total_steps;
  if (complete) {
    evaluate_last();
  } else {
    log_info("{}: stopped after step {} of {}",
             stop.requested() ? fmt::format("{} received", stop.signal_name()) : "another rank asked to stop",
             state_.step, total_steps);
  }
  update_summary();
  const bool saved = save_last();
  reporter_.saved(checkpointing_.tally());
  update_summary();
  metrics_.flush();
  if (complete && !saved) {
    throw_on_all_ranks({ExitCode::storage,
                        "training is done, but its last checkpoint could not be written (log.txt says "
                        "why); free some space and start the run again: it goes on from the last one "
                        "that could"});
  }
  parts_.summary.status = complete ? "done" : saved ? "preempted" : "interrupted";
}

void TrainingRun::train_until(std::int64_t total_steps, const StopSignals& stop) {
  const std::int64_t verify_every = parts_.recipe.comm.verify_every, per_epoch = parts_.sizing.steps_per_epoch;
  const StopRequest stop_requested = [&stop] { return stop.requested(); };
  parts_.bound.set(true);
  activity_.set_phase(watch::Phase::training);
  bool stopping = false;
  // A stop may have cut short the evaluation that was due where the run goes on.
  if (state_.step > 0 && evaluation_is_due()) stopping = !evaluate_now(stop_requested);
  while (state_.step < total_steps && !stopping) {
    take_step(stop);
    update_summary();
    if (parts_.after_step) parts_.after_step(state_.step);
    if (verify_every > 0 && state_.step % verify_every == 0) {
      settle();
      want_same_weights(parts_.executable, parts_.communicator, state_.step);
    }
    if (evaluation_is_due()) settle();
    stopping = stop_asked_;
    if (!stopping && evaluation_is_due()) stopping = !evaluate_now(stop_requested);
    update_summary();
    checkpointing_.poll();
    const bool is_best = state_.best_step == state_.step;
    if (stopping || state_.step == total_steps || !checkpointing_.is_due(state_.step, per_epoch, is_best)) continue;
    settle();
    // Rank 0 may have to wait for its disk, which is no lost peer.
    parts_.bound.set(false);
    {
      const watch::PhaseScope saving(activity_, watch::Phase::saving);
      save();
    }
    parts_.bound.set(true);
    stopping = stop_asked_;
  }
  settle();
  parts_.bound.set(false);
}

void TrainingRun::save() {
  checkpointing_.save(checkpoint_meta(parts_.facts, state_),
                      state_.best_step < 0 ? std::nullopt : std::optional(state_.best_step));
  step_end_ = Clock::now();
}

/// The state as it is now, on the disk; a write that failed once is tried again.
bool TrainingRun::save_last() {
  if (checkpointing_.saved_step() == state_.step && checkpointing_.finish()) return true;
  save();
  return checkpointing_.finish();
}

/// The evaluation after the last step; a run that goes on after it was saved has it.
void TrainingRun::evaluate_last() {
  if (state_.evaluated_step >= state_.step) return;
  evaluate_now({});
  if (validation_) report("test", test_, {});
}

void TrainingRun::take_step(const StopSignals& stop) {
  activity_.begin_step(state_.step + 1);
  const Batch& batch = loader_.next();
  const ScheduleValues values = schedule_.at(state_.step, state_.plateau);
  const RankReport rank_report{.stop = stop.requested() ? 1 : 0,
                               .data_wait_s = static_cast<float>(loader_.last_wait_s())};
  ATHANOR_CHECK(state_.step - known_ < kMostPending, "the device runs {} steps ahead", state_.step - known_);
  pending_[static_cast<std::size_t>((state_.step + 1) % kMostPending)] = {state_.step + 1, values.lr,
                                                                          loader_.last_wait_s()};
  const std::optional<StepResult> result = parts_.executable.step(batch,
                                                                  {.step = state_.updates + 1,
                                                                   .number = state_.step + 1,
                                                                   .lr = values.lr,
                                                                   .momentum = values.momentum,
                                                                   .grad_scale = 1},
                                                                  rank_report);
  ++state_.step;
  const Clock::time_point now = Clock::now();
  pending_[static_cast<std::size_t>(state_.step % kMostPending)].seconds = seconds_between(step_end_, now);
  step_end_ = now;
  if (result) take_result(*result, known_ + 1 == state_.step ? &batch : nullptr);
}

/// `batch`: of the step that the result is of, where it is still there.
void TrainingRun::take_result(const StepResult& result, const Batch* batch) {
  const PendingStep step = pending_[static_cast<std::size_t>(++known_ % kMostPending)];
  if (result.finite) {
    ++state_.updates;
  } else {
    handle_non_finite(result, step, batch);
  }
  state_.loss = result.loss;
  stop_asked_ = stop_asked_ || result.stop;
  record(result, step);
}

/// Waits until the result of every step asked for is known: before the state is looked at.
void TrainingRun::settle() {
  while (known_ < state_.step) take_result(parts_.executable.await_result().value(), nullptr);
}

void TrainingRun::record(const StepResult& result, const PendingStep& step) {
  const double step_s = step.seconds;
  const StepLine line{.step = step.step,
                      .epoch = (step.step - 1) / parts_.sizing.steps_per_epoch + 1,
                      .samples = step.step * parts_.recipe.train.batch,
                      .loss = result.loss,
                      .lr = step.lr,
                      .images_per_s = static_cast<double>(parts_.recipe.train.batch) / step_s,
                      .step_ms = step_s * 1e3,
                      .data_wait_ms = step.data_wait_s * 1e3,
                      .comm_exposed_ms = result.comm_exposed_s * 1e3,
                      .grad_norm = result.grad_norm,
                      .comm_bytes = result.comm_bytes,
                      .slowest_rank = result.slowest_rank,
                      .slowest_host = parts_.communicator.host(result.slowest_rank),
                      .slowest_lag_ms = result.slowest_lag_s * 1e3};
  parts_.bound.note_step(step_s);
  activity_.note_step(step_s, std::max(0.0, step_s - step.data_wait_s - result.comm_exposed_s), step.data_wait_s,
                      result.comm_exposed_s);
  metrics_.train(line);
  parts_.progress.step(line);
  reporter_.step(line, checkpointing_.tally());
  note_rate(line.images_per_s);
}

void TrainingRun::update_summary() {
  Summary& summary = parts_.summary;
  if (start_ != Clock::time_point()) state_.train_seconds = earlier_seconds_ + seconds_between(start_, Clock::now());
  summary.steps = known_;
  summary.samples = known_ * parts_.recipe.train.batch;
  summary.epochs = known_ / parts_.sizing.steps_per_epoch;
  summary.skipped_steps = state_.skipped;
  summary.train_seconds = state_.train_seconds;
  summary.loss = state_.loss;
  summary.accuracy = state_.accuracy;
  summary.best_accuracy = state_.best_accuracy;
}

void TrainingRun::note_rate(double images_per_s) {
  rates_[rate_count_++ % rates_.size()] = images_per_s;
}

void TrainingRun::handle_non_finite(const StepResult& result, const PendingStep& step, const Batch* batch) {
  if (parts_.recipe.train.on_nonfinite != "skip" && !result.expected) {
    std::optional<BatchStorage> again;
    if (batch == nullptr) {
      const BatchSource& source = loader_.source();
      again.emplace(source.rows(), source.dataset().info(), host_batch_memory());
      source.fill(step.step - 1 - first_step_, again->batch());
      batch = &again->batch();
    }
    fail_for_bad_numbers(parts_.executable, parts_.communicator, *batch, {step.step, step.lr, result},
                         parts_.summary.error);
  }
  ++state_.skipped;
  // All ranks know; the first one says it.
  if (is_power_of_two(state_.skipped) && parts_.communicator.rank() == 0) {
    log_warning("step {}: {} is not finite; update skipped, {} so far", step.step, what_is_bad(result), state_.skipped);
  }
}

/// After the steps done so far; the one after the last step is not asked for here.
bool TrainingRun::evaluation_is_due() const {
  const std::int64_t every = parts_.recipe.eval.every_epochs, per_epoch = parts_.sizing.steps_per_epoch;
  return state_.step < parts_.sizing.total_steps && every > 0 && state_.step % (every * per_epoch) == 0 &&
         state_.evaluated_step < state_.step;
}

/// While training, the hold-out drives "best" and the plateau; without one, the test split does. False where a stop was
/// requested; the evaluation may then have been cut short.
bool TrainingRun::evaluate_now(const StopRequest& stop) {
  const Evaluation result = validation_ ? report("validation", *validation_, stop) : report("test", test_, stop);
  if (result.samples == 0) return false;
  state_.evaluated_step = state_.step;
  if (!(state_.best_accuracy >= result.accuracy)) {
    state_.best_accuracy = result.accuracy;
    state_.best_step = state_.step;
  }
  if (!schedule_.metric().empty()) {
    state_.plateau = schedule_.observe(state_.plateau, schedule_.metric() == "loss" ? result.loss : result.accuracy);
  }
  // A request during the last batch: not a step later.
  return !stop || parts_.communicator.agree(stop() ? 1 : 0, "evaluation") == 0;
}

/// An evaluation that a stop request cut short is not reported; its `samples` is 0.
Evaluation TrainingRun::report(std::string_view split, Loader& loader, const StopRequest& stop) {
  const watch::PhaseScope evaluating(activity_, watch::Phase::evaluating);
  const Evaluation result =
      evaluate(parts_.executable, loader, parts_.communicator, class_weights_of(parts_.recipe.loss.attributes),
               parts_.optimizer.ema.enabled(), stop);
  if (result.samples == 0) return result;
  const EvalLine line{.step = state_.step,
                      .epoch = (state_.step + parts_.sizing.steps_per_epoch - 1) / parts_.sizing.steps_per_epoch,
                      .split = split,
                      .loss = result.loss,
                      .accuracy = result.accuracy,
                      .top5 = result.top5,
                      .samples = result.samples};
  metrics_.evaluation(line);
  parts_.progress.evaluation(line);
  log_to_file_only(LogLevel::info,
                   fmt::format("step {}, epoch {}: {} loss {}, accuracy {:.2f} % of {}", line.step, line.epoch, split,
                               number_text(line.loss), line.accuracy * 100, plural(line.samples, "image")));
  reporter_.accuracy(result.accuracy);
  if (split == "test") state_.accuracy = result.accuracy;
  step_end_ = Clock::now();
  return result;
}

}  // namespace athanor
