#include "launcher/supervisor/metrics_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

namespace athanor {
namespace {

using watch::Presence;
using watch::RankPicture;

std::string escaped(std::string_view text) {
  std::string result;
  for (const char each : text) {
    if (each == '\n') {
      result += "\\n";
      continue;
    }
    if (each == '\\' || each == '"') result += '\\';
    result += each;
  }
  return result;
}

std::string label(std::string_view name, std::string_view value) {
  return fmt::format("{}=\"{}\"", name, escaped(value));
}

std::string value_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

/// The text as it grows, one family of samples after another.
class Exposition {
 public:
  void gauge(std::string_view name, std::string_view help) { family(name, help, "gauge"); }
  void counter(std::string_view name, std::string_view help) { family(name, help, "counter"); }
  void sample(double value, std::string_view labels = "") {
    text_ += name_;
    if (!labels.empty()) text_ += fmt::format("{{{}}}", labels);
    text_ += ' ' + value_text(value) + '\n';
  }
  void sample(std::int64_t value, std::string_view labels = "") { sample(static_cast<double>(value), labels); }
  void gauge(std::string_view name, std::string_view help, double value) {
    gauge(name, help);
    sample(value);
  }
  void counter(std::string_view name, std::string_view help, double value) {
    counter(name, help);
    sample(value);
  }
  std::string take() { return std::move(text_); }

 private:
  void family(std::string_view name, std::string_view help, std::string_view type) {
    name_ = name;
    text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }

  std::string text_;
  std::string name_;
};

double median_step_s(const std::vector<RankPicture>& ranks) {
  std::vector<double> steps_s;
  for (const RankPicture& rank : ranks) {
    if (rank.step_s > 0) steps_s.push_back(rank.step_s);
  }
  if (steps_s.empty()) return 0;
  const auto middle = steps_s.begin() + static_cast<std::ptrdiff_t>(steps_s.size() / 2);
  std::nth_element(steps_s.begin(), middle, steps_s.end());
  return *middle;
}

void add_job(Exposition& out, const JobStatus& status) {
  out.gauge("athanor_job_info", "What runs; the value is always 1.");
  out.sample(std::int64_t{1}, label("name", status.picture.about.name) + ',' + label("launcher", status.launcher) +
                                  ',' + label("run_folder", status.picture.about.run_folder));
  out.gauge("athanor_job_state", "1 for the state that the job is in, 0 for the others.");
  for (const std::string_view state : {"starting", "running", "restarting", "stopping", "ended"}) {
    out.sample(std::int64_t{status.state == state}, label("state", state));
  }
  if (status.exit_code) {
    out.gauge("athanor_exit_code", "With what the job has ended: 0 done, 75 stopped on request.", *status.exit_code);
  }
  out.gauge("athanor_uptime_seconds", "Since the supervisor started.", status.uptime_s);
  out.counter("athanor_training_seconds_total", "Of the uptime, in which steps were made.", status.training_s);
  out.counter("athanor_restarts_total", "Attempts after the first.", status.restarts);
  if (status.last_restart_s > 0) {
    out.gauge("athanor_last_restart_seconds", "From the detection of the newest fault to the next step begun.",
              status.last_restart_s);
  }
  out.gauge("athanor_hosts", "Hosts that the attempt in hand runs on.", static_cast<double>(status.hosts.size()));
  out.gauge("athanor_left_out_hosts", "Hosts that are left out because they failed.",
            static_cast<double>(status.left_out_hosts.size()));
}

void add_faults(Exposition& out, const JobStatus& status) {
  // Every kind from the start, so that the first fault is an increase.
  std::vector<std::pair<std::string, std::int64_t>> counts;
  for (const char* kind : {"lost", "stalled", "failed", "launcher", "straggler", "silent"})
    counts.emplace_back(kind, 0);
  for (const FaultRecord& fault : status.faults) {
    auto found = std::find_if(counts.begin(), counts.end(), [&](const auto& each) { return each.first == fault.kind; });
    if (found == counts.end()) found = counts.insert(counts.end(), {fault.kind, 0});
    ++found->second;
  }
  out.counter("athanor_faults_total", "What ended an attempt, or nearly did, by kind.");
  for (const auto& [kind, count] : counts) out.sample(count, label("kind", kind));
}

void add_progress(Exposition& out, const watch::JobPicture& picture, CounterMemory& memory) {
  const watch::RunNews& news = picture.news;
  memory.most_samples = std::max(memory.most_samples, news.samples);
  out.gauge("athanor_step", "Newest step whose result is known.", static_cast<double>(news.step));
  out.gauge("athanor_total_steps", "Steps of the whole run.", static_cast<double>(picture.about.total_steps));
  out.gauge("athanor_epoch", "Epoch of that step, from 1.", static_cast<double>(news.epoch));
  out.counter("athanor_samples_total",
              "Images that the run was trained on; does not grow while a restart does steps again.",
              static_cast<double>(memory.most_samples));
  if (news.step > 0) out.gauge("athanor_loss", "Training loss of the newest step.", news.loss);
  if (news.accuracy >= 0) {
    out.gauge("athanor_accuracy", "Accuracy of the newest evaluation, 0 to 1.", news.accuracy);
  }
  out.gauge("athanor_learning_rate", "Learning rate of the newest step.", news.lr);
  out.gauge("athanor_images_per_second", "Images trained on a second, over all ranks and about the last three seconds.",
            news.images_per_s);
  out.gauge("athanor_step_seconds", "Median time of the newest steps, median over the ranks.",
            median_step_s(picture.ranks));
  out.gauge("athanor_watchdog_timeout_seconds", "Time without progress after which the job is ended as stalled.",
            picture.watchdog_timeout_s);
}

void add_checkpoints(Exposition& out, const watch::JobPicture& picture, std::optional<double> checkpoint_unix_s) {
  const watch::RunNews& news = picture.news;
  out.gauge("athanor_checkpoint_step", "Step of the newest checkpoint on the disk; 0: none.",
            static_cast<double>(std::max<std::int64_t>(0, news.checkpoint_step)));
  out.gauge("athanor_checkpoint_every_steps", "Steps between checkpoints; 0: only at the end.",
            static_cast<double>(picture.about.checkpoint_every_steps));
  if (checkpoint_unix_s) {
    out.gauge("athanor_checkpoint_timestamp_seconds", "When the newest checkpoint was written.", *checkpoint_unix_s);
  }
  out.gauge("athanor_checkpoint_stall_seconds", "What a save holds up training for, mean.", news.checkpoint_stall_s);
  out.gauge("athanor_checkpoint_write_seconds", "What a save takes in the background, mean.", news.checkpoint_write_s);
  out.counter("athanor_failed_saves_total", "Checkpoints that could not be written in the attempt in hand.",
              static_cast<double>(news.failed_saves));
}

using RankValue = double (*)(const RankPicture&);

struct RankGauge {
  const char* name;
  const char* help;
  RankValue value;
};

constexpr std::array kRankGauges{
    RankGauge{"athanor_rank_up", "1 while the rank's heartbeats arrive.",
              [](const RankPicture& rank) { return rank.presence == Presence::connected ? 1.0 : 0.0; }},
    RankGauge{"athanor_rank_step", "Step in hand.",
              [](const RankPicture& rank) { return static_cast<double>(rank.activity.step); }},
    RankGauge{"athanor_rank_shards", "Shards of the batch that the rank runs.",
              [](const RankPicture& rank) { return static_cast<double>(rank.shards); }},
    RankGauge{"athanor_rank_beat_age_seconds", "Since the newest heartbeat.",
              [](const RankPicture& rank) { return rank.beat_age_s; }},
    RankGauge{"athanor_rank_stalled_seconds", "Since the rank last got on.",
              [](const RankPicture& rank) { return rank.stalled_s; }},
    RankGauge{"athanor_rank_step_seconds", "Median time of the newest steps.",
              [](const RankPicture& rank) { return rank.step_s; }},
    RankGauge{"athanor_rank_compute_seconds", "Of a step, computing; mean of the newest.",
              [](const RankPicture& rank) { return rank.compute_s; }},
    RankGauge{"athanor_rank_data_wait_seconds", "Of a step, waiting for data; mean of the newest.",
              [](const RankPicture& rank) { return rank.data_wait_s; }},
    RankGauge{"athanor_rank_comm_wait_seconds", "Of a step, waiting for other ranks; mean of the newest.",
              [](const RankPicture& rank) { return rank.comm_wait_s; }},
    RankGauge{"athanor_rank_round_trip_seconds", "Of a heartbeat and its answer, median of the newest.",
              [](const RankPicture& rank) { return rank.round_trip_s; }},
};

void add_ranks(Exposition& out, const std::vector<RankPicture>& ranks) {
  std::vector<std::string> labels;
  labels.reserve(ranks.size());
  for (const RankPicture& rank : ranks) {
    labels.push_back(label("rank", std::to_string(rank.rank)) + ',' + label("host", rank.host));
  }
  for (const RankGauge& gauge : kRankGauges) {
    out.gauge(gauge.name, gauge.help);
    for (std::size_t i = 0; i < ranks.size(); ++i) out.sample(gauge.value(ranks[i]), labels[i]);
  }
}

void add_dropped(Exposition& out, const watch::DroppedCallers& dropped) {
  out.counter("athanor_dropped_callers_total", "Callers that the heartbeat service did not let in, by reason.");
  const std::pair<const char*, std::uint64_t> reasons[] = {{"wrong_key", dropped.wrong_key},
                                                           {"malformed", dropped.malformed},
                                                           {"oversized", dropped.oversized},
                                                           {"too_many", dropped.too_many},
                                                           {"too_slow", dropped.too_slow}};
  for (const auto& [reason, count] : reasons) out.sample(static_cast<double>(count), label("reason", reason));
}

}  // namespace

std::string metrics_text(const JobStatus& status, CounterMemory& memory, std::optional<double> checkpoint_unix_s) {
  Exposition out;
  add_job(out, status);
  add_faults(out, status);
  add_progress(out, status.picture, memory);
  add_checkpoints(out, status.picture, checkpoint_unix_s);
  add_ranks(out, status.picture.ranks);
  add_dropped(out, status.picture.dropped);
  return out.take();
}

}  // namespace athanor
