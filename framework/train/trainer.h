// One run from start to summary: what `athanor train` does, and what a C++ program calls with a network of its own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "comm/communicator.h"
#include "models/model.h"
#include "train/recipe.h"
#include "train/stop.h"
#include "train/summary.h"

namespace athanor {

struct TrainOptions {
  Communicator* communicator = nullptr;  ///< the ranks; nullptr: those that a launcher started, for this run
  std::filesystem::path run;             ///< run folder; empty: runs/NAME
  /// "auto": from the newest checkpoint in the run folder that verifies; "never": from the start; else a checkpoint
  /// file.
  std::string resume = "auto";
  std::filesystem::path init;       ///< checkpoint whose weights a new run starts from; empty: as initialised
  std::string recipe_argument;      ///< what the user typed after `train`, for "type next"; empty: that is left out
  std::string program = "athanor";  ///< as the user started it, for "type next"
  std::optional<ModelSpec> model;   ///< instead of the recipe's
  /// Told after each update, with its number from 1, on every rank; for programs that watch.
  std::function<void(std::int64_t step)> after_step = {};
  bool text_to_stderr = false;  ///< keep standard output free for one JSON object
  /// Requests to stop, where the caller listens for them already; else the run does.
  const StopSignals* stop = nullptr;
  bool quiet = false;  ///< no first screen and no progress
};

/// Trains as the recipe says and leaves a run folder behind; all ranks call it alike, rank 0 prints and writes. A
/// finished folder is left alone and its summary returned. Ends early on SIGINT, SIGTERM or SIGUSR2, on all ranks after
/// the same step, with status "preempted" once that is saved. Throws Error for everything that can go wrong; where the
/// run had begun, summary.json then has status "failed" and the message. A run that is done on ranks of its own leaves
/// the marker that batch scripts ask for (finished_marker.h); where the caller brings them, that is the caller's to do.
Summary train(Recipe recipe, const TrainOptions& options = {});

/// The same with a network that a program brings and the text of a recipe without its section `model`:
/// `train(net.model(logits), "data: {name: glyphs} …")`. recipe.yaml says "of a C++ program" and a hash of the graph.
Summary train(const ModelSpec& model, const std::string& recipe_text, const TrainOptions& options = {});

}  // namespace athanor
