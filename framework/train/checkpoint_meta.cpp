#include "train/checkpoint_meta.h"

#include "base/error.h"
#include "kernels/isa.h"

namespace athanor {

namespace {

/// Of what changes bits. The bounds of buckets, measured anew on another number of ranks, do not.
std::string fingerprint_without_buckets(Plan plan) {
  plan.reduce.clear();
  plan.optimize.clear();
  return plan.fingerprint();
}

/// An attribute of HDF5 holds 64 kB; of a network with more distinct products the choices are measured again.
std::string kept_choices(const Backend& backend) {
  constexpr std::size_t kMostBytes = 60000;
  const std::string choices = backend.choices().value_or("");
  return choices.size() <= kMostBytes ? choices : "";
}

}  // namespace

RunFacts facts_of(const Recipe& recipe, const Sizing& sizing, const Plans& plans, const RunData& data,
                  const std::string& provenance, int world_size) {
  return {.recipe_text = resolved_text(recipe),
          .seed = recipe.train.seed,
          .shards = sizing.shards,
          .shard_threads = sizing.shard_threads,
          .batch = recipe.train.batch,
          .steps_per_epoch = sizing.steps_per_epoch,
          .world_size = world_size,
          .bucket_mb = recipe.comm.bucket_mb,
          .plan = fingerprint_without_buckets(plans.training),
          .evaluation_plan = plans.evaluation.fingerprint(),
          .train_data = data.train->info().fingerprint,
          .test_data = data.test->info().fingerprint,
          .isa = std::string(kernels::name_of(kernels::active_isa())),
          .backend = std::string(backend_for(recipe.device).name()),
          .device_choices = kept_choices(backend_for(recipe.device)),
          .provenance = provenance};
}

CheckpointMeta checkpoint_meta(const RunFacts& facts, const RunState& state) {
  CheckpointMeta meta;
  meta.recipe_text = facts.recipe_text;
  meta.step = state.step;
  meta.epoch = state.step == 0 ? 0 : (state.step - 1) / facts.steps_per_epoch + 1;
  meta.samples = state.step * facts.batch;
  meta.numbers = {{"seed", static_cast<std::int64_t>(facts.seed)},
                  {"shards", facts.shards},
                  {"shard_threads", facts.shard_threads},
                  {"world_size", facts.world_size},
                  {"updates", state.updates},
                  {"skipped_steps", state.skipped},
                  {"best_step", state.best_step},
                  {"evaluated_step", state.evaluated_step},
                  {"plateau_bad_epochs", state.plateau.bad_epochs},
                  {"plateau_cooldown", state.plateau.cooldown}};
  meta.reals = {{"plateau_lr", state.plateau.lr},
                {"plateau_best", state.plateau.best},
                {"accuracy", state.accuracy},
                {"best_accuracy", state.best_accuracy},
                {"loss", state.loss},
                {"train_seconds", state.train_seconds}};
  if (facts.bucket_mb) meta.reals["bucket_mb"] = *facts.bucket_mb;
  meta.attributes = {{"plan_fingerprint", facts.plan},
                     {"evaluation_plan_fingerprint", facts.evaluation_plan},
                     {"train_data_fingerprint", facts.train_data},
                     {"test_data_fingerprint", facts.test_data},
                     {"isa", facts.isa},
                     {"backend", facts.backend},
                     {"provenance", facts.provenance}};
  if (!facts.device_choices.empty()) meta.attributes["device_choices"] = facts.device_choices;
  return meta;
}

RunState state_from(const CheckpointMeta& meta, const std::string& file) {
  const auto take = [&](const auto& from, const char* key) {
    const auto found = from.find(key);
    if (found != from.end()) return found->second;
    throw StorageError(
        "cannot go on from {}: it does not say {}; it holds weights only, which --init {} starts a new "
        "run from",
        file, key, file);
  };
  RunState state;
  state.step = meta.step;
  state.updates = take(meta.numbers, "updates");
  state.skipped = take(meta.numbers, "skipped_steps");
  state.best_step = take(meta.numbers, "best_step");
  state.evaluated_step = take(meta.numbers, "evaluated_step");
  state.plateau = {.lr = take(meta.reals, "plateau_lr"),
                   .best = take(meta.reals, "plateau_best"),
                   .bad_epochs = take(meta.numbers, "plateau_bad_epochs"),
                   .cooldown = take(meta.numbers, "plateau_cooldown")};
  state.accuracy = take(meta.reals, "accuracy");
  state.best_accuracy = take(meta.reals, "best_accuracy");
  state.loss = take(meta.reals, "loss");
  state.train_seconds = take(meta.reals, "train_seconds");
  return state;
}

}  // namespace athanor
