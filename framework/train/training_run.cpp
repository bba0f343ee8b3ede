#include "train/training_run.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "train/units_text.h"

namespace athanor {
namespace {

/// Steps whose speed is kept for the median.
constexpr std::size_t kMostRates = std::size_t{1} << 18;

/// Of a batch, in a message on the screen.
constexpr std::size_t kShownIndices = 8;

LoaderOptions training_loader(const Recipe& recipe, const RunData& data) {
  LoaderOptions options;
  options.batch = recipe.train.batch;
  options.seed = recipe.train.seed;
  options.augmentations = data.augmentations;
  options.subset = data.train_subset;
  return options;
}

LoaderOptions evaluation_loader(std::int64_t rows, const std::vector<std::int64_t>& subset) {
  LoaderOptions options;
  options.mode = LoaderMode::evaluate;
  options.batch = rows;
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

double seconds_between(std::chrono::steady_clock::time_point start, std::chrono::steady_clock::time_point end) {
  return std::chrono::duration<double>(end - start).count();
}

bool is_power_of_two(std::int64_t count) {
  return (count & (count - 1)) == 0;
}

}  // namespace

TrainingRun::TrainingRun(const RunParts& parts, const std::filesystem::path& metrics_file)
    : parts_(parts),
      metrics_(metrics_file),
      loader_(*parts.data.train, training_loader(parts.recipe, parts.data)),
      test_(*parts.data.test, evaluation_loader(parts.sizing.evaluation_rows, {})),
      schedule_(schedule_of(parts)),
      plateau_(schedule_.initial_state()) {
  if (!parts.data.validation_subset.empty()) {
    validation_ = std::make_unique<Loader>(
        *parts.data.train, evaluation_loader(parts.sizing.evaluation_rows, parts.data.validation_subset));
  }
  rates_.reserve(std::min(static_cast<std::size_t>(parts.sizing.total_steps), kMostRates));
}

/// The median of the speeds, also where the run ends by an error.
TrainingRun::~TrainingRun() {
  if (rates_.empty()) return;
  const auto middle = rates_.begin() + static_cast<std::ptrdiff_t>(rates_.size() / 2);
  std::nth_element(rates_.begin(), middle, rates_.end());
  parts_.summary.images_per_s = *middle;
}

void TrainingRun::run(const StopSignals& stop) {
  const Clock::time_point start = Clock::now();
  const Sizing& sizing = parts_.sizing;
  Summary& summary = parts_.summary;
  step_end_ = start;
  std::int64_t step = 0;
  while (step < sizing.total_steps && !stop.requested()) {
    take_step(step++);
    summary.epochs = step / sizing.steps_per_epoch;
    summary.train_seconds = seconds_between(start, Clock::now());
    if (evaluation_is_due(step)) evaluate_now(step, [&] { return stop.requested(); });
    summary.train_seconds = seconds_between(start, Clock::now());
  }
  // A request that comes after the last step finds nothing left to stop.
  const bool complete = step == sizing.total_steps;
  if (complete) {
    evaluate_now(step, {});
    if (validation_) report(step, "test", test_, {});
  } else {
    log_info("{} received: stopped after step {} of {}", stop.signal_name(), step, sizing.total_steps);
  }
  summary.train_seconds = seconds_between(start, Clock::now());
  metrics_.flush();
  summary.status = complete ? "done" : "interrupted";
}

void TrainingRun::take_step(std::int64_t step) {
  const Recipe& recipe = parts_.recipe;
  const Batch& batch = loader_.next();
  const ScheduleValues values = schedule_.at(step, plateau_);
  const StepResult result = parts_.executable.step(
      batch, {.step = updates_ + 1, .lr = values.lr, .momentum = values.momentum, .grad_scale = 1});
  if (result.finite) {
    ++updates_;
  } else {
    handle_non_finite(step, batch, values.lr, result);
  }
  const Clock::time_point now = Clock::now();
  const double step_s = seconds_between(step_end_, now);
  step_end_ = now;
  const StepLine line{.step = step + 1,
                      .epoch = step / parts_.sizing.steps_per_epoch + 1,
                      .samples = (step + 1) * recipe.train.batch,
                      .loss = result.loss,
                      .lr = values.lr,
                      .images_per_s = static_cast<double>(recipe.train.batch) / step_s,
                      .step_ms = step_s * 1e3,
                      .data_wait_ms = loader_.last_wait_s() * 1e3,
                      .comm_exposed_ms = 0,
                      .grad_norm = result.grad_norm};
  metrics_.train(line);
  parts_.progress.step(line);
  note_rate(line.images_per_s);
  parts_.summary.steps = line.step;
  parts_.summary.samples = line.samples;
  parts_.summary.loss = line.loss;
}

void TrainingRun::note_rate(double images_per_s) {
  if (rates_.size() < rates_.capacity()) {
    rates_.push_back(images_per_s);
  } else {
    rates_[static_cast<std::size_t>(parts_.summary.steps) % rates_.size()] = images_per_s;
  }
}

void TrainingRun::handle_non_finite(std::int64_t step, const Batch& batch, double lr, const StepResult& result) {
  const char* what = !std::isfinite(result.loss)        ? "the loss"
                     : !std::isfinite(result.grad_norm) ? "the gradient"
                                                        : "a batch statistic";
  if (parts_.recipe.train.on_nonfinite == "skip") {
    const std::int64_t skipped = ++parts_.summary.skipped_steps;
    if (is_power_of_two(skipped)) {
      log_warning("step {}: {} is not finite; update skipped, {} so far", step + 1, what, skipped);
    }
    return;
  }
  const std::optional<BadValue> bad = parts_.executable.find_non_finite(batch);
  const auto message = [&](const std::string& indices) {
    return fmt::format(
        "step {}: {} is not finite (learning rate {:g}); {}; sample indices of the batch: {}. Lower optimizer.lr, set "
        "optimizer.clip_norm, or let train.on_nonfinite=skip leave such updates out",
        step + 1, what, lr,
        bad ? fmt::format("first bad output: {} of layer {}, shard {}", bad->op, bad->layer, bad->shard)
            : std::string("no single output is bad: a sum overflowed"),
        indices);
  };
  const auto& indices = batch.sample_indices;
  parts_.summary.error = message(fmt::format("{}", fmt::join(indices, ", ")));
  if (indices.size() <= kShownIndices) throw NumericsError(parts_.summary.error);
  throw NumericsError(message(fmt::format("{}, … and {} more (all are in log.txt)",
                                          fmt::join(indices.begin(), indices.begin() + kShownIndices, ", "),
                                          indices.size() - kShownIndices)));
}

/// The one after the last step is not asked for here.
bool TrainingRun::evaluation_is_due(std::int64_t steps) const {
  const std::int64_t every = parts_.recipe.eval.every_epochs, per_epoch = parts_.sizing.steps_per_epoch;
  return steps < parts_.sizing.total_steps && every > 0 && steps % (every * per_epoch) == 0;
}

/// While training, the hold-out drives "best" and the plateau; without one, the test split does.
void TrainingRun::evaluate_now(std::int64_t step, const StopRequest& stop) {
  const Evaluation result =
      validation_ ? report(step, "validation", *validation_, stop) : report(step, "test", test_, stop);
  if (result.samples == 0) return;
  parts_.summary.best_accuracy = std::fmax(parts_.summary.best_accuracy, result.accuracy);
  if (!schedule_.metric().empty()) {
    plateau_ = schedule_.observe(plateau_, schedule_.metric() == "loss" ? result.loss : result.accuracy);
  }
}

/// An evaluation that a stop request cut short is not reported; its `samples` is 0.
Evaluation TrainingRun::report(std::int64_t step, std::string_view split, Loader& loader, const StopRequest& stop) {
  const Evaluation result = evaluate(parts_.executable, loader, class_weights_of(parts_.recipe.loss.attributes),
                                     parts_.optimizer.ema.enabled(), stop);
  if (result.samples == 0) return result;
  const EvalLine line{.step = step,
                      .epoch = (step + parts_.sizing.steps_per_epoch - 1) / parts_.sizing.steps_per_epoch,
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
  if (split == "test") parts_.summary.accuracy = result.accuracy;
  step_end_ = Clock::now();
  return result;
}

}  // namespace athanor
