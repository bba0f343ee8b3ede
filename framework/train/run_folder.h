// The folder of one run, and what happens when a run is started in a folder that was used before. Nothing here is ever
// overwritten: an unfinished run is moved to previous-N/ before another one starts in its place.
//   recipe.yaml (resolved)  metrics.jsonl  log.txt  checkpoints/step-%09d.h5  summary.json (last)  .lock
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "train/file_lock.h"

namespace athanor {

/// The first difference between two recipes that matters, in words ("optimizer.lr is 0.1 there and 0.2 here").
using RecipeCompare =
    std::function<std::optional<std::string>(const std::string& old_recipe, const std::string& new_recipe)>;

/// Whether the new recipe asks a finished run to go further (more epochs); empty: it never does.
using AsksForMore = std::function<bool(const std::string& old_recipe, const std::string& new_recipe)>;

/// What a folder holds for a run of a recipe.
struct HeldRun {
  bool exists = false;   ///< a run of this recipe, as far as `compare` sees
  bool is_done = false;  ///< and it is finished
  std::string recipe;    ///< its recipe.yaml
};

/// Looks without touching. Throws UsageError when `path` holds a run for which `compare` names a difference, or files
/// but no run; StorageError when its recipe.yaml cannot be read.
HeldRun look_at_run_folder(const std::filesystem::path& path, const std::string& resolved_recipe_text,
                           const RecipeCompare& compare);

/// runs/NAME below the current directory.
std::filesystem::path default_run_folder(const std::string& name);

/// recipe.yaml: the resolved recipe below lines about versions and hardware, as comments.
std::string recipe_file_text(const std::string& provenance, const std::string& resolved_recipe_text);

/// A run folder that this process holds until the object goes.
class RunFolder {
 public:
  /// Makes the folder where need be, locks it and looks what it holds:
  ///   finished                         → already_done()
  ///   unfinished, with checkpoints     → resumable()
  ///   unfinished without one, or empty → neither: start_over() is next
  /// Throws what look_at_run_folder throws, and StorageError when another process holds the folder or it cannot be
  /// written; leaves what is there as it was in any case.
  static RunFolder take(const std::filesystem::path& path, const std::string& resolved_recipe_text,
                        const RecipeCompare& compare, const AsksForMore& asks_for_more = {});

  bool already_done() const { return already_done_; }
  bool resumable() const { return !already_done_ && !checkpoints_.empty(); }
  /// Where start_over() put an earlier attempt; empty if there was none.
  const std::filesystem::path& previous() const { return previous_; }

  /// Moves an earlier attempt's files to previous-N/ and writes recipe.yaml. Throws StorageError.
  void start_over(const std::string& recipe_file);
  /// Keeps the earlier attempt's files, for a run that goes on after `step`; recipe.yaml is now this one's, what
  /// summary.json said no longer holds, and checkpoints of later steps move to previous-N/. Throws StorageError.
  void go_on(const std::string& recipe_file, std::int64_t step);

  /// Writes recipe.yaml again where it is gone: somebody removed the folder under the run and made it anew. Without it
  /// nobody would know whose the checkpoints are. Throws StorageError.
  void keep_recipe(const std::string& recipe_file) const;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path recipe_path() const { return path_ / "recipe.yaml"; }
  std::filesystem::path metrics_path() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path log_path() const { return path_ / "log.txt"; }
  std::filesystem::path summary_path() const { return path_ / "summary.json"; }
  std::filesystem::path checkpoints_path() const { return path_ / "checkpoints"; }
  /// Found when the folder was opened, newest first.
  const std::vector<std::filesystem::path>& checkpoints() const { return checkpoints_; }

 private:
  void make_previous();

  RunFolder(std::filesystem::path path, FileLock lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::filesystem::path path_;
  FileLock lock_;
  std::filesystem::path previous_;
  std::vector<std::filesystem::path> checkpoints_;
  bool already_done_ = false;
};

/// checkpoints/step-*.h5 of a run folder, newest (highest step) first; whether they verify is for the reader to find
/// out.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& run_folder);

}  // namespace athanor
