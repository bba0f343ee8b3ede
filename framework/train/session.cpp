#include "train/session.h"

#include <algorithm>

#include "comm/buckets.h"
#include "data/augment.h"
#include "data/batch_source.h"
#include "graph/passes/recompute.h"
#include "io/checkpoint_file.h"
#include "models/initialize.h"
#include "optim/optimize_plan.h"
#include "train/units_text.h"

namespace athanor {
namespace {

std::string at(const Recipe& recipe, std::string_view key) {
  const std::string place = recipe.place(key).text();
  return place.empty() ? std::string(key) : fmt::format("{}: {}", place, key);
}

/// Per channel, or one for all.
std::vector<double> given_or(const std::vector<double>& values, double otherwise) {
  return values.empty() ? std::vector<double>{otherwise} : values;
}

GraphOptions graph_options(const Recipe& recipe, const DatasetInfo& info, std::int64_t rows, std::int64_t shards) {
  return {.batch = rows,
          .channels = info.channels,
          .height = info.height,
          .width = info.width,
          .classes = info.classes,
          .mean = given_or(recipe.data.mean, 0),
          .std = given_or(recipe.data.stddev, 1),
          .loss = {recipe.loss.name, recipe.loss.attributes},
          .compute_dtype = compute_type(recipe.train.precision),
          .shards = shards};
}

/// The smallest number of equal parts of `batch` that is at least `ranks`; `batch` where there is none.
std::int64_t divisor_above(std::int64_t batch, std::int64_t ranks) {
  std::int64_t shards = std::min(batch, ranks);
  while (batch % shards != 0) ++shards;
  return shards;
}

/// Throws UsageError with values that work.
void want_shard_for_each_rank(const Recipe& recipe, int ranks) {
  const std::int64_t batch = recipe.train.batch, shards = recipe.train.shards;
  if (shards > 0 && ranks > shards) {
    const std::int64_t enough = divisor_above(batch, ranks);
    throw UsageError("{} is {}, but there are {} ranks and each needs a shard; start at most {}{}",
                     at(recipe, "train.shards"), shards, ranks, shards,
                     enough >= ranks
                         ? fmt::format(", or set train.shards={} (another experiment: each shard has its own "
                                       "batch-norm statistics)",
                                       enough)
                         : "");
  }
  if (shards == 0 && batch % ranks != 0) {
    const std::int64_t below = batch / ranks * ranks;
    throw UsageError(
        "{} is {}, which cannot be cut into a shard for each of {} ranks; use a batch of {}{}, or "
        "train.shards={}",
        at(recipe, "train.batch"), batch, ranks, below > 0 ? fmt::format("{} or ", below) : "", below + ranks,
        divisor_above(batch, ranks));
  }
}

/// Throws UsageError for augmentations that can leave nothing of an image.
void want_something_to_see(const Recipe& recipe, const DatasetInfo& info) {
  const Augmentations wanted = augmentations_from(recipe.data.augment);
  const std::int64_t side = std::min(info.height, info.width);
  if (wanted.crop_padding >= side) {
    throw UsageError("{}: random_crop.padding is {}, images are {}×{}; use less than {}", at(recipe, "data.augment"),
                     wanted.crop_padding, info.height, info.width, side);
  }
  if (wanted.cutout_size >= 2 * side) {
    throw UsageError("{}: cutout.size is {}, images are {}×{}; use less than {}", at(recipe, "data.augment"),
                     wanted.cutout_size, info.height, info.width, 2 * side);
  }
}

std::size_t largest_tensor_bytes(const Plan& plan) {
  std::size_t largest = 0;
  for (const StateTensor& tensor : plan.state) largest = std::max(largest, tensor.elements);
  return largest * sizeof(float);
}

}  // namespace

Sizing size_run(Recipe& recipe, const RunData& data, const Hardware& hardware, const Communicator& communicator) {
  return size_run(recipe, data.train_size(), hardware, communicator);
}

Sizing cut_batches(const Recipe& recipe, const Hardware& hardware, const Communicator& communicator) {
  return cut_batches(recipe, hardware, communicator.rank(), communicator.size());
}

Sizing cut_batches(const Recipe& recipe, const Hardware& hardware, int rank, int ranks) {
  want_shard_for_each_rank(recipe, ranks);
  Sizing sizing{.shards = recipe.train.shards > 0 ? recipe.train.shards : ranks};
  sizing.local = shards_of_rank(static_cast<int>(sizing.shards), rank, ranks);
  sizing.shard_threads = recipe.train.shard_threads;
  if (sizing.shard_threads == 0) {
    // Rank 0 runs as many shards as any; its cores decide for all, since the bits depend on it.
    const std::int64_t most = shards_of_rank(static_cast<int>(sizing.shards), 0, ranks).count();
    const int cpus = hardware.first_rank_cores > 0 ? hardware.first_rank_cores : hardware.allowed_cpus;
    sizing.shard_threads = std::max<std::int64_t>(1, cpus / most);
  }
  const int cpus = hardware.cores > 0 ? hardware.cores : hardware.allowed_cpus;
  sizing.lanes = static_cast<int>(std::clamp<std::int64_t>(cpus / sizing.shard_threads, 1, sizing.local.count()));
  sizing.evaluation_rows = (recipe.eval.batch + sizing.shards - 1) / sizing.shards * sizing.shards;
  return sizing;
}

std::int64_t count_steps(const Recipe& recipe, std::int64_t samples) {
  const std::int64_t by_epochs = recipe.train.epochs * (samples / recipe.train.batch), most = recipe.train.max_steps;
  return most > 0 && (by_epochs == 0 || most < by_epochs) ? most : by_epochs;
}

Sizing size_run(Recipe& recipe, std::int64_t samples, const Hardware& hardware, const Communicator& communicator) {
  Sizing sizing = cut_batches(recipe, hardware, communicator);
  const std::int64_t shards = sizing.shards;
  set_shards(recipe, shards, sizing.shard_threads);
  if (recipe.train.batch > samples) {
    const std::int64_t largest = samples / shards * shards;
    throw UsageError("{} is {}, larger than the {} training images; {}", at(recipe, "train.batch"), recipe.train.batch,
                     samples,
                     largest > 0 ? fmt::format("the largest that works is {}", largest)
                                 : fmt::format("and they cannot fill {} shards: set train.shards=1", shards));
  }
  sizing.steps_per_epoch = samples / recipe.train.batch;
  sizing.total_steps = count_steps(recipe, samples);
  if (sizing.total_steps == 0) {
    throw UsageError("{} and train.max_steps are both 0: say how long to train", at(recipe, "train.epochs"));
  }
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
  const std::string problem = backend_for(recipe.device).precision_problem(recipe.train.precision);
  if (!problem.empty()) throw DeviceError("{}: {}", at(recipe, "train.precision"), problem);
}

Plans make_plans(const Recipe& recipe, const ModelSpec& model, const DatasetInfo& info, const Sizing& sizing,
                 bool measures) {
  want_device(recipe);
  want_something_to_see(recipe, info);
  const auto threads = static_cast<int>(sizing.shard_threads), shards = static_cast<int>(sizing.shards);
  const std::unique_ptr<BackendPlanner> planner = backend_for(recipe.device)
                                                      .planner({.threads = threads,
                                                                .precision = recipe.train.precision,
                                                                .deterministic = recipe.train.deterministic,
                                                                .measures = measures,
                                                                .winograd = recipe.train.winograd == "auto"});
  Plans plans;
  const std::int64_t rows = recipe.train.batch / sizing.shards,
                     evaluation_rows = sizing.evaluation_rows / sizing.shards;
  plans.training = make_plan(training_graph(model, graph_options(recipe, info, rows, sizing.shards)), *planner, shards,
                             threads, nullptr, recipe.train.recompute ? kRecomputedWork : 0);
  plans.evaluation = make_plan(evaluation_graph(model, graph_options(recipe, info, evaluation_rows, sizing.shards)),
                               *planner, shards, threads, &plans.training);
  plans.optimizer = make_optimizer(recipe.optimizer.named.name, recipe.optimizer.named.attributes);
  plans.optimizer.ema = recipe.ema;
  plans.training.reduce = plan_reduce_steps(plans.training, bucket_sizes(recipe.comm.bucket_mb));
  plans.training.update_at_once = plans.optimizer.clip_norm == 0 && recipe.train.on_nonfinite == "stop";
  plans.training.optimize = plan_optimize_steps(plans.optimizer, recipe.optimizer.groups, plans.training);
  return plans;
}

LoaderCrew training_crew(const Recipe& recipe, const Sizing& sizing) {
  constexpr int kMostWorkers = 8;
  if (!backend_for(recipe.device).device_memory_bytes()) return {};
  const int cores = sizing.lanes * static_cast<int>(sizing.shard_threads);
  const int workers = std::clamp(cores - 1, 1, kMostWorkers);
  return {workers, std::max(kTrainingDepth, workers + 2)};
}

std::size_t available_bytes(const Backend& backend, const Hardware& hardware, const Communicator& communicator) {
  return backend.device_memory_bytes().value_or(hardware.memory_available_bytes /
                                                static_cast<std::size_t>(communicator.local_size()));
}

std::size_t checkpoint_bytes(const Plans& plans) {
  const Plan& plan = plans.training;
  const std::size_t averages = plans.optimizer.ema.enabled() ? plan.state_elements : 0;
  return sizeof(float) * (plan.state_elements + averages + plans.optimizer.slots.size() * plan.parameter_elements);
}

MemoryPlan plan_run_memory(const Recipe& recipe, const DatasetInfo& info, const Sizing& sizing, const Plans& plans,
                           Communicator& communicator) {
  MemoryPlan memory = backend_for(recipe.device).plan_memory(executable_options(recipe, sizing, plans, communicator));
  const std::int64_t images = info.in_memory ? info.train_size + info.test_size : 0;
  memory.data = static_cast<std::size_t>(images * (info.image_bytes() + 1)) +
                static_cast<std::size_t>(training_crew(recipe, sizing).depth) *
                    batch_bytes(recipe.train.batch / sizing.shards * sizing.local.count(), info) +
                kEvaluationDepth * batch_bytes(sizing.evaluation_rows / sizing.shards * sizing.local.count(), info);
  // Rank 0, which has the first shard, writes the checkpoints.
  if (sizing.local.first == 0)
    memory.snapshot = checkpoint_bytes(plans) + checkpoint_buffer_bytes(largest_tensor_bytes(plans.training));
  return memory;
}

void check_memory(const Recipe& recipe, const ModelSpec& model, const DatasetInfo& info, const Sizing& sizing,
                  const Plans& plans, const Hardware& hardware, Communicator& communicator) {
  const Backend& backend = backend_for(recipe.device);
  const std::size_t available = available_bytes(backend, hardware, communicator);
  const auto needed = [&](const Recipe& asked, const Sizing& cut, const Plans& candidate) {
    const MemoryPlan memory = plan_run_memory(asked, info, cut, candidate, communicator);
    return backend.device_memory_bytes() ? memory.device() : memory.total();
  };
  const std::size_t total = needed(recipe, sizing, plans);
  if (total <= available) return;
  std::string other_way;
  if (!recipe.train.recompute) {
    Recipe again = recipe;
    again.train.recompute = true;
    const std::size_t less = needed(again, sizing, make_plans(again, model, info, sizing, false));
    if (less <= available) {
      other_way = fmt::format("; or set train.recompute=true, which needs {} and gives the same numbers a little later",
                              bytes_text(less));
    }
  }

  const auto fits = [&](std::int64_t rows, std::int64_t evaluation_rows, bool measures) {
    Recipe smaller = recipe;
    smaller.train.batch = rows * sizing.shards;
    Sizing cut = sizing;
    cut.evaluation_rows = evaluation_rows;
    return needed(smaller, cut, make_plans(smaller, model, info, cut, measures)) <= available;
  };
  // Activations grow with the rows of a shard; the largest number of rows that fits is found by planning again, and
  // held against the plan that a run would make: what it measures may choose implementations that need more.
  const auto most_rows = [&](bool cut_evaluation) {
    const auto fit = [&](std::int64_t rows, bool measures) {
      return fits(rows,
                  cut_evaluation ? std::min(sizing.evaluation_rows, rows * sizing.shards) : sizing.evaluation_rows,
                  measures);
    };
    std::int64_t good = 0, bad = recipe.train.batch / sizing.shards + 1;
    while (bad - good > 1) {
      const std::int64_t rows = (good + bad) / 2;
      (fit(rows, false) ? good : bad) = rows;
    }
    constexpr std::int64_t kSlices = 32;
    while (good > 0 && !fit(good, true)) good -= (good + kSlices - 1) / kSlices;
    return good * sizing.shards;
  };
  const std::int64_t batch = most_rows(false), smaller_batch = batch > 0 ? 0 : most_rows(true);
  std::string advice = "even one image a shard does not fit; use fewer shards side by side or a smaller model";
  if (batch > 0) advice = fmt::format("the largest batch that fits is {}", batch);
  if (smaller_batch > 0) advice = fmt::format("the largest batch that fits is {0}, with eval.batch={0}", smaller_batch);
  throw DeviceError("{}: {} images need {}, this process may use {}; {}{}", at(recipe, "train.batch"),
                    recipe.train.batch, bytes_text(total), bytes_text(available), advice, other_way);
}

ExecutableOptions executable_options(const Recipe& recipe, const Sizing& sizing, const Plans& plans,
                                     Communicator& communicator) {
  return {.training = &plans.training,
          .evaluation = &plans.evaluation,
          .optimizer = plans.optimizer,
          .shards = sizing.local,
          .lanes = sizing.lanes,
          .seed = recipe.train.seed,
          .communicator = &communicator,
          .reduction = recipe.train.reduction == "fast" ? ReductionMode::library : ReductionMode::tree,
          .wire = recipe.comm.wire == "bf16"   ? DType::bf16
                  : recipe.comm.wire == "fp16" ? DType::f16
                                               : DType::f32,
          .precision = recipe.train.precision,
          .deterministic = recipe.train.deterministic,
          .skip_nonfinite = recipe.train.on_nonfinite == "skip",
          .cuda_graph = recipe.cuda.graph,
          .cuda_overlap = recipe.cuda.overlap};
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
