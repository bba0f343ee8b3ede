// Loss and accuracy over a run, from its metrics.jsonl while it grows: read on from where the last look ended, and
// thinned out to as many points as a small picture has use for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace athanor {

class Curve {
 public:
  static constexpr std::size_t kMostPoints = 1000;  ///< of each kind

  /// Reads at most `most_bytes` on in `file`; another file than at the last look is read from its start. A run that
  /// went back to a checkpoint takes its points back. Lines that are no metrics are passed over. A file that cannot be
  /// read leaves what is known. Returns whether it came to the end.
  bool read_on(const std::filesystem::path& file, std::size_t most_bytes);

  /// {"train": {"step": […], "loss": […]}, "eval": {"step": […], "loss": […], "accuracy": […]}}; null where a number
  /// was not finite. A training point is the mean of the steps up to its own since the one before.
  nlohmann::ordered_json to_json() const;

 private:
  /// Means over `stride` lines; when there are too many points, two become one.
  struct Series {
    struct Point {
      std::int64_t step = 0, lines = 0;
      double loss_sum = 0, accuracy_sum = 0;
    };
    std::vector<Point> points;
    std::int64_t stride = 1;

    void add(std::int64_t step, double loss, double accuracy);
  };

  void take_line(const std::string& line);

  std::pair<std::uintmax_t, std::uintmax_t> identity_{};  ///< device and inode
  std::uintmax_t offset_ = 0;
  Series train_, evaluations_;
  std::string split_;
};

}  // namespace athanor
