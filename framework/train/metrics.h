// metrics.jsonl: one JSON object a line, a line for each step, evaluation and checkpoint, for scripts and
// plots.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string_view>

namespace athanor {

/// One update. Epochs count from 1.
struct StepLine {
  std::int64_t step = 0;  ///< updates done, this one included
  std::int64_t epoch = 1;
  std::int64_t samples = 0;  ///< images trained on since step 0, over all ranks
  double loss = 0;
  double lr = 0;
  double images_per_s = 0;     ///< images of this update ÷ step_ms
  double step_ms = 0;          ///< from the end of the previous step to the end of this one, waits included
  double data_wait_ms = 0;     ///< of step_ms: waited for the loader
  double comm_exposed_ms = 0;  ///< of step_ms: waited for other ranks
  double grad_norm = 0;
  std::int64_t comm_bytes = 0;    ///< sent to other ranks
  int slowest_rank = 0;           ///< whose gradients were ready last
  std::string_view slowest_host;  ///< the host that it runs on; must outlive the call only
  double slowest_lag_ms = 0;      ///< how much later than the median rank's; not in the file
};

/// One evaluation. Accuracies are 0–1.
struct EvalLine {
  std::int64_t step = 0;
  std::int64_t epoch = 1;
  std::string_view split;  ///< "test", "validation"; must outlive the call only
  double loss = 0;
  double accuracy = 0;
  double top5 = 0;
  std::int64_t samples = 0;
};

/// One checkpoint that is on the disk.
struct CheckpointLine {
  std::int64_t step = 0;
  double stall_ms = 0;  ///< that the step loop stood still
  double write_ms = 0;  ///< from its start until it was renamed and synced, in the background; the read-back apart
  std::uint64_t bytes = 0;
  std::string_view path;
};

/// Appends to metrics.jsonl. Lines reach the file at every evaluation and at least every second of steps; numbers that
/// are not finite become null. In steady state nothing is allocated. A disk that takes nothing does not end training:
/// lines wait until it does, as many as kMostWaiting bytes hold.
class MetricsLog {
 public:
  /// Opens `file` to append; without a name, nothing is kept: for ranks that leave the writing to rank 0. Throws
  /// StorageError.
  explicit MetricsLog(const std::filesystem::path& file);
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;
  /// Writes what is left.
  ~MetricsLog();

  static constexpr std::size_t kMostWaiting = std::size_t{16} << 20;

  void train(const StepLine& line);
  void evaluation(const EvalLine& line);
  void checkpoint(const CheckpointLine& line);
  /// Writes what waits. The first failure is logged as a warning, and so is its end.
  void flush();
  /// Waits until what was flushed is on the disk. From any thread. Throws StorageError where the last flush failed, or
  /// the disk does.
  void sync() const;

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
  fmt::memory_buffer pending_;
  std::chrono::steady_clock::time_point flushed_;
  std::atomic<bool> failing_{false};
  std::int64_t dropped_ = 0;  ///< lines that found no room to wait

  void end_line(std::size_t begin);
};

}  // namespace athanor
