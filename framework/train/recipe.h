// The recipe as training code uses it: typed, every default filled in, every problem of the file reported at once.
// Reading it opens no data and no device; what depends on them (does the batch fit the data set?) is checked there.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.h"
#include "config/emit.h"
#include "config/layer_spec.h"
#include "config/validate.h"
#include "optim/averaging.h"
#include "optim/parameter_groups.h"

namespace athanor {

struct DataSettings {
  NamedSettings set;               ///< name and settings of the data set, for open_dataset
  std::int64_t validation = 0;     ///< training images held out; 0: none
  std::vector<double> mean;        ///< one value or one a channel, of pixels in 0–1; empty: nothing is subtracted
  std::vector<double> stddev;      ///< as many values; empty: nothing is divided
  std::vector<LayerSpec> augment;  ///< for augmentations_from
};

/// Either `named`, or `input` and `layers`.
struct ModelSettings {
  NamedSettings named;              ///< name "" for a model of layers
  std::vector<std::int64_t> input;  ///< [C, H, W] or [F]; empty for a named model
  std::vector<LayerSpec> layers;
  std::vector<std::string> reset;  ///< patterns of parameters that `train --init` leaves as they are initialised

  bool is_layers() const { return named.name.empty(); }
};

struct TrainSettings {
  std::int64_t epochs = 0;         ///< 0: no bound
  std::int64_t max_steps = 0;      ///< 0: no bound
  std::int64_t batch = 0;          ///< images of one update, over all ranks
  std::int64_t shards = 0;         ///< 0: the world size of the first launch
  std::int64_t shard_threads = 0;  ///< 0: chosen at the first launch
  std::uint64_t seed = 0;
  std::string precision;  ///< "fp32", "tf32", "bf16", "fp16"
  std::string winograd;   ///< "auto", "off"
  std::string reduction;  ///< "tree", "fast"
  bool deterministic = true;
  std::string on_nonfinite;  ///< "stop", "skip"
  bool recompute = false;    ///< activations are made again in backward instead of kept
};

struct OptimizerSettings {
  NamedSettings named;  ///< with clip_norm, clip_value and shard
  std::vector<ParameterGroup> groups;
};

struct EvalSettings {
  std::int64_t every_epochs = 0;  ///< 0: only at the end
  std::int64_t batch = 0;
};

struct CheckpointSettings {
  std::int64_t every_epochs = 0;  ///< 0: not by epochs
  std::int64_t every_steps = 0;   ///< 0: not by steps
  std::int64_t keep = 0;          ///< newest ones kept
  std::int64_t keep_every = 0;    ///< every so many steps one is kept for good; 0: none
  bool best = true;
  bool required = false;
};

struct CommSettings {
  std::optional<double> bucket_mb;  ///< none: automatic
  std::string wire;                 ///< "fp32", "bf16", "fp16"
  std::int64_t verify_every = 0;    ///< steps between comparisons of the ranks' weights; 0: never
  std::optional<double> timeout_s;  ///< none: automatic
};

struct WatchdogSettings {
  std::optional<double> timeout_s;  ///< none: automatic
};

struct CudaSettings {
  bool graph = true;    ///< a step is launched as one graph
  bool overlap = true;  ///< gradients of weights run beside the rest of backward
};

struct Recipe {
  std::string name;
  DataSettings data;
  ModelSettings model;
  NamedSettings loss;
  TrainSettings train;
  OptimizerSettings optimizer;
  NamedSettings schedule;
  EmaSpec ema;
  EvalSettings eval;
  CheckpointSettings checkpoint;
  CommSettings comm;
  WatchdogSettings watchdog;
  CudaSettings cuda;
  std::string device;  ///< "auto", "cpu", "cuda"

  YamlNode source;    ///< as written, overrides included; for `place`
  YamlNode resolved;  ///< every key with its value, in the order of docs/recipe.md

  /// Where a key was written ("train.batch"), or the section around it, for messages.
  Location place(std::string_view path) const { return locate(source, path); }
};

/// Reads and checks a recipe file with `KEY=VALUE` overrides. Throws UsageError that lists all problems, one a line.
Recipe read_recipe(const std::string& path, std::span<const std::string> overrides = {});

/// The same from text; `file` names it in messages and, without its folder and ending, the recipe that has no name.
Recipe parse_recipe(std::string_view text, const std::string& file, std::span<const std::string> overrides = {});

/// The same for a program that brings a network of its own: the text holds no section `model`.
Recipe parse_recipe_without_model(std::string_view text, const std::string& file);

/// Fixes what the first launch chose, in the typed and in the resolved recipe. Throws UsageError, with the place of
/// train.batch, when the batch cannot be cut into so many shards.
void set_shards(Recipe& recipe, std::int64_t shards, std::int64_t shard_threads);

/// Why `batch` cannot be cut into `shards` equal parts, with values that work; "" when it can.
std::string batch_problem(std::int64_t batch, std::int64_t shards);

/// The resolved recipe as YAML that reads back to the same recipe.
std::string resolved_text(const Recipe& recipe);

/// The first key in which two resolved recipes describe different mathematics. The name, the length of the run, paths,
/// evaluation, checkpoints and watching may differ between two runs of one experiment; shards and threads that are left
/// open (0) equal any.
std::optional<Difference> first_difference(const YamlNode& resolved_a, const YamlNode& resolved_b);
std::optional<Difference> first_difference(const Recipe& a, const Recipe& b);
/// The same of the texts of two resolved recipes, in words: "optimizer.lr is 0.05 there and 0.2 here".
std::optional<std::string> difference_text(const std::string& recipe_there, const std::string& recipe_here);

}  // namespace athanor
