#include "train/summary.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
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
  const std::string steps = fmt::format("{} steps, {} epochs, {}", count_text(summary.steps), summary.epochs,
                                        duration_text(summary.train_seconds));
  if (summary.status == "done") return fmt::format("Done: {}.", steps);
  if (summary.status == "failed") return fmt::format("Failed after {}: {}", steps, summary.error);
  return fmt::format("Stopped on request ({}) after {}.", summary.status, steps);
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
  json["start_seconds"] = measured(summary.start_seconds);
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

void print_summary(std::FILE* out, const Summary& summary, const std::filesystem::path& run_folder,
                   const std::string& recipe) {
  const std::string folder = run_folder.string();
  fmt::print(out, "\n{}\n", headline(summary));
  if (std::isfinite(summary.accuracy)) {
    fmt::print(out, "  accuracy   {:.2f} % on the test images", summary.accuracy * 100);
    if (std::isfinite(summary.best_accuracy)) fmt::print(out, ", best {:.2f} %", summary.best_accuracy * 100);
    fmt::print(out, "\n");
  }
  if (std::isfinite(summary.loss)) fmt::print(out, "  loss       {:.4f} in the last step\n", summary.loss);
  if (summary.skipped_steps > 0) {
    fmt::print(out, "  skipped    {} updates whose numbers were not finite\n", count_text(summary.skipped_steps));
  }
  if (summary.images_per_s > 0)
    fmt::print(out, "  speed      {} images/s\n", count_text(std::llround(summary.images_per_s)));
  if (!summary.weights_sha256.empty()) fmt::print(out, "  weights    sha256 {}\n", summary.weights_sha256);
  fmt::print(out, "  files      {0}/summary.json, {0}/metrics.jsonl\n", folder);
  if (recipe.empty() && summary.status != "failed") return static_cast<void>(std::fflush(out));
  fmt::print(out, "Next:\n");
  if (summary.status == "done") {
    fmt::print(out, "  athanor eval {2}\n  athanor plan {0}\n  athanor train {1} train.seed=1 --run {2}-seed1\n",
               recipe, recipe, folder);
  } else if (summary.status == "failed") {
    fmt::print(out, "  less {}/log.txt\n", folder);
  } else {
    fmt::print(out, "  athanor train {} --run {}\n", recipe, folder);
  }
  std::fflush(out);
}

}  // namespace athanor
