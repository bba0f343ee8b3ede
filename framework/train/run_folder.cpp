#include "train/run_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "io/checkpoint_folder.h"
#include "train/summary.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;

/// What a run leaves behind; recipe.yaml goes last, so that a move that is cut short still knows whose files these are.
constexpr std::string_view kRunFiles[] = {"summary.json", "metrics.jsonl", "log.txt", "checkpoints", "recipe.yaml"};

std::optional<std::string> read_recipe(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return std::nullopt;
  std::ifstream in(file);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in) throw StorageError("cannot read {}; may this user read it?", file.string());
  return text;
}

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) {
    throw StorageError("cannot make the run folder {}: {}; choose another with --run", path.string(), error.message());
  }
  if (!fs::is_directory(path, error)) {
    throw StorageError("the run folder {} is a file; choose another with --run", path.string());
  }
}

/// Files that only have the names of a run's are someone else's: moving them aside would surprise their owner. Others
/// (a job's own output, say) stay where they are and do not matter.
void want_no_lookalikes(const fs::path& path) {
  bool has_recipe = false, has_other = false;
  std::string lookalike;
  std::error_code error;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool is_runs = std::find(std::begin(kRunFiles), std::end(kRunFiles), name) != std::end(kRunFiles);
    const bool is_recipe = name == "recipe.yaml";
    has_recipe |= is_recipe;
    has_other |= (is_runs && !is_recipe) || name == ".lock" || name.starts_with("previous-");
    if (is_runs && lookalike.empty()) lookalike = name;
  }
  if (lookalike.empty() || (has_recipe && has_other)) return;
  throw UsageError("{} holds a '{}' that is no run's; choose another folder with --run DIR", path.string(), lookalike);
}

std::string as_comments(std::string_view text) {
  std::string comments;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    comments += fmt::format("# {}\n", line);
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return comments;
}

}  // namespace

fs::path default_run_folder(const std::string& name) {
  return fs::path("runs") / name;
}

std::vector<fs::path> list_checkpoints(const fs::path& run_folder) {
  return CheckpointFolder(run_folder / "checkpoints").list();
}

HeldRun look_at_run_folder(const fs::path& path, const std::string& resolved_recipe_text,
                           const RecipeCompare& compare) {
  want_no_lookalikes(path);
  const std::optional<std::string> held = read_recipe(path / "recipe.yaml");
  if (!held) return {};
  if (const auto difference = compare(*held, resolved_recipe_text)) {
    throw UsageError("{} holds a run of another recipe: {}; choose another folder with --run DIR", path.string(),
                     *difference);
  }
  return {.exists = true, .is_done = read_status(path) == "done", .recipe = *held};
}

std::string recipe_file_text(const std::string& provenance, const std::string& resolved_recipe_text) {
  return as_comments(provenance) + resolved_recipe_text;
}

RunFolder RunFolder::take(const fs::path& path, const std::string& resolved_recipe_text, const RecipeCompare& compare,
                          const AsksForMore& asks_for_more) {
  want_no_lookalikes(path);  // before a lock is left in a folder of someone else's
  make_folder(path);
  RunFolder folder(path, FileLock(path / ".lock"));
  const HeldRun held = look_at_run_folder(path, resolved_recipe_text, compare);
  folder.already_done_ = held.is_done && !(asks_for_more && asks_for_more(held.recipe, resolved_recipe_text));
  folder.checkpoints_ = list_checkpoints(path);
  return folder;
}

void RunFolder::make_previous() {
  std::error_code error;
  int number = 1;
  while (fs::exists(path_ / fmt::format("previous-{}", number), error)) ++number;
  previous_ = path_ / fmt::format("previous-{}", number);
  fs::create_directory(previous_, error);
  if (error) throw StorageError("cannot make {}: {}", previous_.string(), error.message());
}

void RunFolder::go_on(const std::string& recipe_file, std::int64_t step) {
  std::error_code error;
  fs::remove(summary_path(), error);
  for (const fs::path& checkpoint : checkpoints_) {
    if (CheckpointFolder::step_of(checkpoint) <= step || !fs::exists(checkpoint, error)) continue;
    if (previous_.empty()) make_previous();
    fs::create_directories(previous_ / "checkpoints", error);
    fs::rename(checkpoint, previous_ / "checkpoints" / checkpoint.filename(), error);
    if (error) throw StorageError("cannot move {} to {}: {}", checkpoint.string(), previous_.string(), error.message());
  }
  write_atomically(recipe_path(), recipe_file);
}

void RunFolder::keep_recipe(const std::string& recipe_file) const {
  std::error_code error;
  if (fs::is_directory(path_, error) && !fs::exists(recipe_path(), error)) write_atomically(recipe_path(), recipe_file);
}

void RunFolder::start_over(const std::string& recipe_file) {
  const auto is_there = [&](std::string_view name) {
    std::error_code ignored;
    return fs::exists(path_ / name, ignored);
  };
  if (std::any_of(std::begin(kRunFiles), std::end(kRunFiles), is_there)) {
    make_previous();
    std::error_code error;
    for (const std::string_view name : kRunFiles) {
      if (!error && is_there(name)) fs::rename(path_ / name, previous_ / name, error);
    }
    if (error) throw StorageError("cannot move the earlier run to {}: {}", previous_.string(), error.message());
  }
  checkpoints_.clear();
  write_atomically(recipe_path(), recipe_file);
}

}  // namespace athanor
