#include "train/resume.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/log.h"
#include "config/nearest.h"
#include "io/state_sources.h"
#include "kernels/isa.h"
#include "optim/parameter_groups.h"
#include "train/phases.h"

namespace athanor {
namespace {

constexpr std::size_t kShown = 5;

std::int64_t number_in(const CheckpointMeta& meta, const char* key) {
  const auto found = meta.numbers.find(key);
  return found == meta.numbers.end() ? 0 : found->second;
}

std::string text_in(const CheckpointMeta& meta, const char* key) {
  const auto found = meta.attributes.find(key);
  return found == meta.attributes.end() ? "" : found->second;
}

/// What accepts a checkpoint that a run cannot go on from.
std::string other_ways(const std::string& file) {
  return fmt::format("train in another folder with --run DIR; --init {} starts from its weights alone", file);
}

/// The first few, one a line.
std::string listed(const std::vector<std::string>& differences) {
  std::string text;
  for (std::size_t i = 0; i < std::min(kShown, differences.size()); ++i) text += "\n  " + differences[i];
  if (differences.size() > kShown) text += fmt::format("\n  … and {} more", differences.size() - kShown);
  return text;
}

std::string shape_difference(const std::string& name, const Shape& in_file, const Shape& in_network) {
  return fmt::format("{} is {} in the file, {} in the network", name, in_file.text(), in_network.text());
}

std::string name_of(const StoredTensor& tensor) {
  const bool is_slot = tensor.group.starts_with("optimizer/");
  return is_slot ? tensor.group.substr(tensor.group.find('/') + 1) + "/" + tensor.name : tensor.name;
}

bool matches_any(const std::string& name, std::span<const std::string> patterns) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return pattern_distance(pattern, name) == 0; });
}

/// Parameters and statistics that a pattern matches. A pattern that matches none is a slip of the pen: all ranks throw.
std::vector<std::string> matched_names(const Executable& executable, std::span<const std::string> patterns) {
  std::vector<std::string> matched, all;
  std::vector<bool> used(patterns.size());
  for (const StateEntry& entry : executable.list_state()) {
    if (entry.kind != StateKind::parameter && entry.kind != StateKind::statistic) continue;
    all.push_back(entry.name);
    bool is_matched = false;
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      if (pattern_distance(patterns[i], entry.name) != 0) continue;
      used[i] = is_matched = true;
    }
    if (is_matched) matched.push_back(entry.name);
  }
  const auto idle = std::find(used.begin(), used.end(), false);
  if (idle != used.end()) {
    const std::string& pattern = patterns[static_cast<std::size_t>(idle - used.begin())];
    const std::optional<std::string> near = nearest(pattern, all);
    throw_on_all_ranks(
        {ExitCode::usage, fmt::format("model.reset: '{}' matches no parameter{}; `athanor plan` lists them", pattern,
                                      near ? fmt::format("; did you mean '{}'?", *near) : "")});
  }
  return matched;
}

/// Where each entry of the executable lies in the file, of whose tensors `is_meant` says which belong to it.
struct Matching {
  std::vector<std::int64_t> places;
  std::vector<std::string> differences;
};

template <typename Place, typename IsMeant>
Matching match(const std::vector<StateEntry>& entries, const StoredRun& stored, const Place& place_in_file,
               const IsMeant& is_meant) {
  Matching matching;
  std::vector<bool> used(stored.tensors().size());
  for (const StateEntry& entry : entries) {
    const StatePlace place = place_in_file(entry);
    const std::int64_t index = stored.find(place.group, place.name);
    matching.places.push_back(index);
    if (index < 0) {
      matching.differences.push_back(fmt::format("{} {} is not in the file", entry.name, entry.shape.text()));
      continue;
    }
    used[static_cast<std::size_t>(index)] = true;
    const Shape& shape = stored.tensors()[static_cast<std::size_t>(index)].shape;
    if (!(shape == entry.shape)) matching.differences.push_back(shape_difference(entry.name, shape, entry.shape));
  }
  for (std::size_t i = 0; i < used.size(); ++i) {
    const StoredTensor& tensor = stored.tensors()[i];
    if (!used[i] && is_meant(tensor)) {
      matching.differences.push_back(fmt::format("{} is only in the file", name_of(tensor)));
    }
  }
  return matching;
}

void write_all(Executable& executable, Communicator& communicator, const StoredRun& stored,
               const std::vector<StateEntry>& entries, const std::vector<std::int64_t>& places) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    executable.write_state(entries[i], stored.values(communicator, places[i]));
  }
}

/// The file's tensor for an entry: averages that it lacks begin as the weights. −1: it has none.
std::int64_t find_weights(const StoredRun& stored, const StateEntry& entry) {
  std::int64_t index = stored.find(place_of(entry).group, entry.name);
  for (const char* group : {"parameters", "statistics"}) {
    if (index < 0 && entry.kind == StateKind::average) index = stored.find(group, entry.name);
  }
  return index;
}

}  // namespace

void adopt_choices(Recipe& recipe, const StoredRun& stored) {
  const CheckpointMeta& meta = stored.meta();
  if (recipe.train.shards == 0) recipe.train.shards = number_in(meta, "shards");
  if (recipe.train.shard_threads == 0) recipe.train.shard_threads = number_in(meta, "shard_threads");
  const auto bucket = meta.reals.find("bucket_mb");
  if (!recipe.comm.bucket_mb && bucket != meta.reals.end()) recipe.comm.bucket_mb = bucket->second;
  for (const kernels::Isa isa : {kernels::Isa::baseline, kernels::Isa::avx2, kernels::Isa::avx512}) {
    if (recipe.train.deterministic && text_in(meta, "isa") == kernels::name_of(isa)) kernels::limit_isa(isa);
  }
}

void adopt_measured_choices(const Backend& backend, const StoredRun& stored) {
  const auto choices = stored.meta().attributes.find("device_choices");
  if (choices != stored.meta().attributes.end() && text_in(stored.meta(), "backend") == backend.name())
    backend.take_choices(choices->second);
}

namespace {

/// Whether choices that were measured on a device hold here: their first line says where that was. Without any on
/// either side there is nothing to compare.
bool is_same_device(const CheckpointMeta& meta, const RunFacts& facts) {
  const auto stored = meta.attributes.find("device_choices");
  if (stored == meta.attributes.end() || facts.device_choices.empty()) return true;
  const auto where = [](const std::string& text) { return text.substr(0, text.find('\n')); };
  return where(stored->second) == where(facts.device_choices);
}

}  // namespace

void want_same_run(const StoredRun& stored, const Recipe& asked, const RunFacts& facts, std::int64_t total_steps) {
  const CheckpointMeta& meta = stored.meta();
  if (meta.step > total_steps) {
    throw UsageError("{} was saved after step {}, but this run ends after {}: raise train.max_steps or train.epochs",
                     stored.path(), meta.step, total_steps);
  }
  if (const auto difference = difference_text(meta.recipe_text, resolved_text(asked))) {
    throw UsageError("{} is a checkpoint of another recipe: {}; {}", stored.path(), *difference,
                     other_ways(stored.path()));
  }
  const auto want = [&](const char* key, const std::string& here, const char* what) {
    if (text_in(meta, key) == here) return;
    throw UsageError(
        "{} is a checkpoint of other data: the fingerprint of the {} is {} there and {} here; point "
        "data.path at the same files, or {}",
        stored.path(), what, text_in(meta, key), here, other_ways(stored.path()));
  };
  want("train_data_fingerprint", facts.train_data, "training split");
  want("test_data_fingerprint", facts.test_data, "test split");
  if (number_in(meta, "shards") != facts.shards || number_in(meta, "shard_threads") != facts.shard_threads) {
    throw UsageError(
        "{} is a checkpoint of a run of {} shards with {} threads each, not {} with {}; set "
        "train.shards={} train.shard_threads={}, or {}",
        stored.path(), number_in(meta, "shards"), number_in(meta, "shard_threads"), facts.shards, facts.shard_threads,
        number_in(meta, "shards"), number_in(meta, "shard_threads"), other_ways(stored.path()));
  }
  const bool is_same_machine = text_in(meta, "isa") == facts.isa && is_same_device(meta, facts);
  if (text_in(meta, "plan_fingerprint") == facts.plan && is_same_machine) return;
  const std::string what =
      fmt::format("{} was made with plan {} on {}; this machine makes plan {} on {}", stored.path(),
                  text_in(meta, "plan_fingerprint"), text_in(meta, "isa"), facts.plan, facts.isa);
  if (asked.train.deterministic) {
    throw DeviceError(
        "{}: the next steps would have other bits. Made with:\n{}here:\n{}go on there, accept other bits "
        "with train.deterministic=false, or {}",
        what, text_in(meta, "provenance"), facts.provenance, other_ways(stored.path()));
  }
  log_warning("{}: the bits of the steps that follow are others, which train.deterministic=false accepts", what);
}

void restore_state(Executable& executable, Communicator& communicator, const StoredRun& stored) {
  const std::vector<StateEntry> entries = executable.list_state();
  const Matching matching = match(entries, stored, place_of, [](const StoredTensor&) { return true; });
  if (!matching.differences.empty()) {
    throw_on_all_ranks(
        {ExitCode::usage,
         fmt::format("{} is not a checkpoint of this network and optimizer ({} differences); {}{}", stored.path(),
                     matching.differences.size(), other_ways(stored.path()), listed(matching.differences))});
  }
  write_all(executable, communicator, stored, entries, matching.places);
}

void restore_weights(Executable& executable, Communicator& communicator, const StoredRun& stored, bool averaged) {
  const std::vector<StateEntry> entries = executable.list_state();
  const auto is_meant = [&](const StoredTensor& tensor) {
    return averaged ? tensor.group == "average" : tensor.group == "parameters" || tensor.group == "statistics";
  };
  const auto place = [&](const StateEntry& entry) {
    return averaged ? StatePlace{"average", entry.name} : place_of(entry);
  };
  const Matching matching = match(entries, stored, place, is_meant);
  if (!matching.differences.empty()) {
    throw_on_all_ranks(
        {ExitCode::usage, fmt::format("{} is not a checkpoint of this network ({} differences); evaluate "
                                      "it without overrides of model{}",
                                      stored.path(), matching.differences.size(), listed(matching.differences))});
  }
  write_all(executable, communicator, stored, entries, matching.places);
}

void want_fitting_weights(const StoredRun& stored, const Plan& plan, std::span<const std::string> reset) {
  std::vector<std::string> differences;
  for (const StateTensor& tensor : plan.state) {
    const std::int64_t index = stored.find(tensor.is_statistic ? "statistics" : "parameters", tensor.name);
    if (index < 0 || matches_any(tensor.name, reset)) continue;
    const Shape &there = stored.tensors()[static_cast<std::size_t>(index)].shape,
                &here = plan.graph.value(tensor.value).shape;
    if (!(there == here)) differences.push_back(shape_difference(tensor.name, there, here));
  }
  if (differences.empty()) return;
  throw UsageError("{} does not fit this network; name what is to start anew in model.reset: [pattern, …]{}",
                   stored.path(), listed(differences));
}

void load_weights(Executable& executable, Communicator& communicator, const StoredRun& stored,
                  std::span<const std::string> reset) {
  const std::vector<std::string> started_anew = matched_names(executable, reset);
  std::vector<std::string> missing, only_there;
  std::vector<bool> used(stored.tensors().size());
  for (const StateEntry& entry : executable.list_state()) {
    if (entry.kind == StateKind::optimizer || matches_any(entry.name, reset)) continue;
    const std::int64_t index = find_weights(stored, entry);
    if (index >= 0) {
      used[static_cast<std::size_t>(index)] = true;
      executable.write_state(entry, stored.values(communicator, index));
    } else if (entry.kind != StateKind::average) {
      missing.push_back(entry.name);
    }
  }
  for (std::size_t i = 0; i < used.size(); ++i) {
    const StoredTensor& tensor = stored.tensors()[i];
    const bool is_weight = tensor.group == "parameters" || tensor.group == "statistics";
    if (is_weight && !used[i] && !matches_any(tensor.name, reset)) only_there.push_back(tensor.name);
  }
  log_info("started from the weights of {}, step {}", stored.path(), stored.meta().step);
  if (!started_anew.empty()) log_info("model.reset: start anew: {}", fmt::join(started_anew, ", "));
  if (!missing.empty()) log_info("not in the file, so they start anew: {}", fmt::join(missing, ", "));
  if (!only_there.empty()) log_info("only in the file, left out: {}", fmt::join(only_there, ", "));
}

}  // namespace athanor
