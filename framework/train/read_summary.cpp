#include "train/read_summary.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace athanor {

Summary read_summary(const std::filesystem::path& run_folder) {
  const std::filesystem::path file = run_folder / "summary.json";
  std::ifstream stream(file);
  const nlohmann::json json = nlohmann::json::parse(stream, nullptr, false);
  if (!json.is_object()) throw StorageError("cannot read {}: it is missing or not a JSON object", file.string());
  Summary summary;
  const auto take = [&](const char* key, auto& value) {
    const auto found = json.find(key);
    if (found != json.end() && !found->is_null()) value = found->get<std::decay_t<decltype(value)>>();
  };
  take("status", summary.status);
  take("steps", summary.steps);
  take("samples", summary.samples);
  take("epochs", summary.epochs);
  take("train_seconds", summary.train_seconds);
  take("images_per_s", summary.images_per_s);
  take("loss", summary.loss);
  take("accuracy", summary.accuracy);
  take("best_accuracy", summary.best_accuracy);
  take("weights_sha256", summary.weights_sha256);
  take("world_size", summary.world_size);
  take("shards", summary.shards);
  take("shard_threads", summary.shard_threads);
  take("backend", summary.backend);
  take("precision", summary.precision);
  take("peak_bytes", summary.peak_bytes);
  take("error", summary.error);
  return summary;
}

}  // namespace athanor
