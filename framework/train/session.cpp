#include "train/session.h"

#include <algorithm>

#include "backend/cpu/executable.h"
#include "backend/cpu/planner.h"
#include "data/split.h"
#include "kernels/isa.h"
#include "models/initialize.h"

namespace athanor {
namespace {

std::string at(const Recipe& recipe, std::string_view key) {
  const std::string place = recipe.place(key).text();
  return place.empty() ? std::string(key) : fmt::format("{}: {}", place, key);
}

std::vector<double> per_channel(const std::vector<double>& values, std::int64_t channels, double fallback) {
  if (values.empty()) return std::vector<double>(static_cast<std::size_t>(channels), fallback);
  if (values.size() == 1) return std::vector<double>(static_cast<std::size_t>(channels), values[0]);
  return values;
}

GraphOptions graph_options(const Recipe& recipe, const DatasetInfo& info, std::int64_t rows, std::int64_t shards) {
  return {.batch = rows,
          .channels = info.channels,
          .height = info.height,
          .width = info.width,
          .classes = info.classes,
          .mean = per_channel(recipe.data.mean, info.channels, 0),
          .std = per_channel(recipe.data.stddev, info.channels, 1),
          .loss = {recipe.loss.name, recipe.loss.attributes},
          .compute_dtype = recipe.train.precision == "bf16" ? DType::bf16 : DType::f32,
          .loss_scale = 1.0 / static_cast<double>(shards)};
}

}  // namespace

std::int64_t RunData::train_size() const {
  return train_subset.empty() ? train->size() : static_cast<std::int64_t>(train_subset.size());
}

RunData open_data(const Recipe& recipe) {
  RunData data;
  const auto open = [&](Split split) { return open_dataset(recipe.data.set.name, recipe.data.set.attributes, split); };
  data.train = open(Split::train);
  data.test = open(Split::test);
  data.augmentations = augmentations_from(recipe.data.augment);
  if (recipe.data.validation > 0) {
    if (recipe.data.validation >= data.train->size()) {
      throw UsageError("{} is {}, but there are only {} training images", at(recipe, "data.validation"),
                       recipe.data.validation, data.train->size());
    }
    auto split = split_indices(data.train->labels(), recipe.data.validation, recipe.train.seed);
    data.train_subset = std::move(split.train);
    data.validation_subset = std::move(split.validation);
  }
  return data;
}

Sizing size_run(Recipe& recipe, const RunData& data, const Hardware& hardware, const Communicator& communicator) {
  return size_run(recipe, data.train_size(), hardware, communicator);
}

Sizing size_run(Recipe& recipe, std::int64_t samples, const Hardware& hardware, const Communicator& communicator) {
  const int cpus = std::max(1, hardware.allowed_cpus / communicator.local_size());
  const std::int64_t shards = recipe.train.shards > 0 ? recipe.train.shards : communicator.size();
  const std::int64_t local_shards = (shards + communicator.size() - 1) / communicator.size();
  std::int64_t threads = recipe.train.shard_threads;
  if (threads == 0) threads = std::max<std::int64_t>(1, cpus / local_shards);
  set_shards(recipe, shards, threads);

  if (recipe.train.batch > samples) {
    throw UsageError("{} is {}, larger than the {} training images; the largest that works is {}",
                     at(recipe, "train.batch"), recipe.train.batch, samples, samples / shards * shards);
  }
  Sizing sizing{.shards = shards, .shard_threads = threads};
  sizing.lanes = static_cast<int>(std::clamp<std::int64_t>(cpus / threads, 1, local_shards));
  sizing.steps_per_epoch = samples / recipe.train.batch;
  sizing.total_steps = recipe.train.epochs * sizing.steps_per_epoch;
  if (recipe.train.max_steps > 0 && (sizing.total_steps == 0 || recipe.train.max_steps < sizing.total_steps)) {
    sizing.total_steps = recipe.train.max_steps;
  }
  if (sizing.total_steps == 0) {
    throw UsageError("{} and train.max_steps are both 0: say how long to train", at(recipe, "train.epochs"));
  }
  sizing.evaluation_rows = (recipe.eval.batch + shards - 1) / shards * shards;
  return sizing;
}

ModelSpec model_of(const Recipe& recipe) {
  ModelSpec model;
  model.name = recipe.model.named.name;
  model.attributes = recipe.model.named.attributes;
  model.layers = recipe.model.layers;
  model.place = recipe.place("model");
  if (!recipe.model.input.empty()) model.input = Shape(recipe.model.input);
  return model;
}

void want_device(const Recipe& recipe) {
  if (recipe.device == "cuda") {
    throw DeviceError("{}: this build has no CUDA back end; use device=cpu", at(recipe, "device"));
  }
  if (recipe.train.precision != "bf16" || kernels::has_native_bf16()) return;
  throw DeviceError("{}: this processor has no native bf16 (AVX512-BF16); use train.precision=fp32",
                    at(recipe, "train.precision"));
}

Plans make_plans(const Recipe& recipe, const ModelSpec& model, const DatasetInfo& info, const Sizing& sizing) {
  want_device(recipe);
  const auto threads = static_cast<int>(sizing.shard_threads), shards = static_cast<int>(sizing.shards);
  cpu::CpuPlanner planner(threads);
  Plans plans;
  const std::int64_t rows = recipe.train.batch / sizing.shards,
                     evaluation_rows = sizing.evaluation_rows / sizing.shards;
  plans.training =
      make_plan(training_graph(model, graph_options(recipe, info, rows, sizing.shards)), planner, shards, threads);
  plans.evaluation = make_plan(evaluation_graph(model, graph_options(recipe, info, evaluation_rows, sizing.shards)),
                               planner, shards, threads, &plans.training);
  plans.optimizer = make_optimizer(recipe.optimizer.named.name, recipe.optimizer.named.attributes);
  plans.optimizer.ema = recipe.ema;
  std::vector<ArenaParameter> parameters;
  for (const StateTensor& tensor : plans.training.state) {
    if (tensor.is_statistic) continue;
    parameters.push_back(
        {tensor.name, static_cast<std::int64_t>(tensor.offset), static_cast<std::int64_t>(tensor.elements)});
  }
  const ArenaRange all{0, static_cast<std::int64_t>(plans.training.parameter_elements)};
  plans.optimize_steps = plan_optimize_steps(plans.optimizer, recipe.optimizer.groups, parameters, {all});
  return plans;
}

void check_memory(const Recipe& recipe, const ModelSpec& model, const DatasetInfo& info, const Sizing& sizing,
                  const Plans& plans, const Hardware& hardware, const Communicator& communicator) {
  const std::size_t available = hardware.memory_available_bytes / static_cast<std::size_t>(communicator.local_size());
  const std::unique_ptr<Communicator> self = make_self_communicator();
  const auto needed = [&](const Plans& candidate) {
    return cpu::plan_memory(executable_options(recipe, sizing, candidate, *self)).total();
  };
  const std::size_t total = needed(plans);
  if (total <= available) return;
  // Activations grow with the rows of a shard; the largest number of rows that fits is found by planning again.
  std::int64_t fits = 0, fails = recipe.train.batch / sizing.shards;
  while (fails - fits > 1) {
    const std::int64_t rows = (fits + fails) / 2;
    Recipe smaller = recipe;
    smaller.train.batch = rows * sizing.shards;
    Sizing cut = sizing;
    cut.evaluation_rows = std::min(sizing.evaluation_rows, smaller.train.batch);
    (needed(make_plans(smaller, model, info, cut)) <= available ? fits : fails) = rows;
  }
  throw DeviceError(
      "{} needs {} MB, this process may use {} MB; {}", at(recipe, "train.batch"), total >> 20, available >> 20,
      fits == 0
          ? std::string("even one image a shard does not fit")
          : fmt::format("the largest batch that fits is {} (with eval.batch at most as large)", fits * sizing.shards));
}

ExecutableOptions executable_options(const Recipe& recipe, const Sizing& sizing, const Plans& plans,
                                     Communicator& communicator) {
  return {.training = &plans.training,
          .evaluation = &plans.evaluation,
          .optimizer = plans.optimizer,
          .optimize_steps = plans.optimize_steps,
          .lanes = sizing.lanes,
          .seed = recipe.train.seed,
          .communicator = &communicator};
}

void initialize_state(Executable& executable, const Plan& plan, std::uint64_t seed) {
  std::vector<float> values;
  for (const StateEntry& entry : executable.list_state()) {
    if (entry.kind == StateKind::optimizer) continue;
    values.resize(static_cast<std::size_t>(entry.shape.elements()));
    initialize(plan.graph.value(plan.graph.find(entry.name)), seed, values);
    executable.write_state(entry, values);
  }
}

}  // namespace athanor
