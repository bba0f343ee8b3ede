// How a run ended: summary.json for scripts, a few lines for people.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <string>

namespace athanor {

struct Summary {
  std::string status = "failed";  ///< done, preempted, interrupted, failed
  std::int64_t steps = 0;
  std::int64_t samples = 0;
  std::int64_t epochs = 0;                                     ///< finished ones
  double train_seconds = 0;                                    ///< step 0 to the end of the last step or evaluation
  double images_per_s = 0;                                     ///< median over steps
  double loss = std::numeric_limits<double>::quiet_NaN();      ///< of the last step
  double accuracy = std::numeric_limits<double>::quiet_NaN();  ///< last evaluation of the test split, 0–1
  double best_accuracy = std::numeric_limits<double>::quiet_NaN();  ///< 0–1
  std::string weights_sha256;
  std::int64_t world_size = 1;
  std::int64_t shards = 1;
  std::int64_t shard_threads = 1;
  std::string backend = "cpu";
  std::string precision = "fp32";
  std::uint64_t peak_bytes = 0;
  std::string error;               ///< empty unless failed; with everything that the message on the screen leaves out
  double start_seconds = 0;        ///< from the start of the program until step 0 begins
  std::int64_t skipped_steps = 0;  ///< updates left out because numbers were not finite
};

/// One JSON object in one line, keys in the order above; what was not measured (NaN, empty) is null.
std::string to_json(const Summary& summary);

/// Writes summary.json whole or not at all. Throws StorageError.
void write_summary(const std::filesystem::path& run_folder, const Summary& summary);

/// Reads summary.json's status; empty where there is no readable one.
std::string read_status(const std::filesystem::path& run_folder);

/// What the last lines of a run say beside the summary itself.
struct SummaryScreen {
  std::filesystem::path run_folder;
  std::string recipe;               ///< what the user typed after `train`; empty: nothing to type next is offered
  std::string program = "athanor";  ///< as the user started it
  std::int64_t total_steps = 0;     ///< that were asked for
};

/// Accuracy, time, where the files are and what to type next.
void print_summary(std::FILE* out, const Summary& summary, const SummaryScreen& screen);

}  // namespace athanor
