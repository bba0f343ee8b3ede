#include "train/summary.h"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/print.h"
#include "train/shell_words.h"
#include "train/units_text.h"

namespace athanor {
namespace {

nlohmann::ordered_json measured(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json said(const std::string& text) {
  return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
}

/// What happened, in a word and a number.
std::string headline(const Summary& summary) {
  const std::string steps = fmt::format("{}, {}, {}", plural(summary.steps, "step"), plural(summary.epochs, "epoch"),
                                        duration_text(summary.train_seconds));
  if (summary.status == "done") {
    if (summary.skipped_steps == 0) return fmt::format("Done: {}.", steps);
    if (summary.skipped_steps >= summary.steps) {
      return fmt::format("Nothing was learned: {}, and every update was skipped.", steps);
    }
    return fmt::format("Done, with {} of {} skipped: {}.", count_text(summary.skipped_steps),
                       plural(summary.steps, "update"), steps);
  }
  if (summary.status == "failed") return fmt::format("Failed after {}: {}", steps, summary.error);
  return fmt::format("Stopped on request ({}) after {}.", summary.status, steps);
}

void print_figures(std::FILE* out, const Summary& summary, std::int64_t total_steps) {
  if (std::isfinite(summary.accuracy)) {
    print_or_lose(out, "  accuracy   {:.2f} % on the test images", summary.accuracy * 100);
    if (std::isfinite(summary.best_accuracy)) print_or_lose(out, ", best {:.2f} %", summary.best_accuracy * 100);
    print_or_lose(out, "\n");
  }
  if (summary.steps > 0) print_or_lose(out, "  loss       {} in the last step\n", number_text(summary.loss));
  if (summary.skipped_steps > 0) {
    print_or_lose(out, "  skipped    {} of {}: their numbers were not finite\n", count_text(summary.skipped_steps),
                  plural(summary.steps, "update"));
  }
  if (summary.images_per_s > 0) {
    print_or_lose(out, "  speed      {} images/s\n", count_text(std::llround(summary.images_per_s)));
  }
  if (summary.status == "interrupted" || summary.status == "preempted") {
    print_or_lose(out, "  weights    at step {} of {}, {}\n", count_text(summary.steps), count_text(total_steps),
                  summary.status == "preempted" ? "saved: the same command goes on" : "not saved");
  } else if (!summary.weights_sha256.empty()) {
    print_or_lose(out, "  weights    sha256 {}\n", summary.weights_sha256);
  }
}

void print_next(std::FILE* out, const std::string& status, const SummaryScreen& screen) {
  const std::string program = shell_word(screen.program), folder = shell_word(screen.run_folder.string());
  print_or_lose(out, "Next:\n");
  if (status == "done") {
    print_or_lose(out, "  {0} eval {2}\n  {0} plan {1}\n  {0} train {1} train.seed=1 --run {3}\n", program,
                  screen.recipe, folder, shell_word(screen.run_folder.string() + "-seed1"));
  } else if (status == "failed") {
    print_or_lose(out, "  less {}/log.txt\n", folder);
  } else {
    print_or_lose(out, "  {} train {} --run {}\n", program, screen.recipe, folder);
  }
}

}  // namespace

std::string to_json(const Summary& summary) {
  nlohmann::ordered_json json;
  json["status"] = summary.status;
  json["steps"] = summary.steps;
  json["samples"] = summary.samples;
  json["epochs"] = summary.epochs;
  json["train_seconds"] = measured(summary.train_seconds);
  json["images_per_s"] = measured(summary.images_per_s);
  json["loss"] = measured(summary.loss);
  json["accuracy"] = measured(summary.accuracy);
  json["best_accuracy"] = measured(summary.best_accuracy);
  json["weights_sha256"] = said(summary.weights_sha256);
  json["world_size"] = summary.world_size;
  json["shards"] = summary.shards;
  json["shard_threads"] = summary.shard_threads;
  json["backend"] = summary.backend;
  json["precision"] = summary.precision;
  json["peak_bytes"] = summary.peak_bytes;
  json["error"] = said(summary.error);
  json["start_seconds"] = measured(std::round(summary.start_seconds * 100) / 100);
  json["skipped_steps"] = summary.skipped_steps;
  // An error may quote a file name that is no UTF-8.
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void write_summary(const std::filesystem::path& run_folder, const Summary& summary) {
  write_atomically(run_folder / "summary.json", to_json(summary) + "\n");
}

std::string read_status(const std::filesystem::path& run_folder) {
  std::ifstream in(run_folder / "summary.json");
  const auto json = nlohmann::json::parse(in, nullptr, false);
  if (!json.is_object()) return "";
  const auto status = json.find("status");
  return status != json.end() && status->is_string() ? status->get<std::string>() : "";
}

void print_summary(std::FILE* out, const Summary& summary, const SummaryScreen& screen) {
  const std::string folder = screen.run_folder.string();
  print_or_lose(out, "\n{}\n", headline(summary));
  print_figures(out, summary, screen.total_steps);
  print_or_lose(out, "  files      {0}/summary.json, {0}/metrics.jsonl\n", folder);
  if (!screen.recipe.empty() || summary.status == "failed") print_next(out, summary.status, screen);
  std::fflush(out);
}

}  // namespace athanor
