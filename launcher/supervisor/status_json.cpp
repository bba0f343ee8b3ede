#include "launcher/supervisor/status_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace athanor {
namespace {

using Json = nlohmann::ordered_json;
using watch::RankPicture;

/// JSON has no word for what is not finite.
Json real(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

/// `none` stands for what is not known.
template <typename Number>
Json known(Number value, Number none) {
  return value == none ? Json(nullptr) : Json(value);
}

template <typename Value>
Json optional(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json collective_json(const watch::Collective& call) {
  return {{"name", std::string(call.name.data())},
          {"group", call.group},
          {"sequence", call.sequence},
          {"bytes", call.bytes},
          {"begun_ns", call.begun_ns},
          {"ended_ns", call.ended_ns}};
}

Json rank_json(const RankPicture& rank) {
  const watch::ActivitySnapshot& activity = rank.activity;
  return {{"rank", rank.rank},
          {"host", rank.host},
          {"pid", rank.pid},
          {"cpus", rank.cpus},
          {"threads", rank.threads},
          {"shards", rank.shards},
          {"presence", watch::name_of(rank.presence)},
          {"phase", watch::name_of(activity.phase)},
          {"step", activity.step},
          {"progress", activity.progress},
          {"beat_age_s", real(rank.beat_age_s)},
          {"stalled_s", real(rank.stalled_s)},
          {"step_s", real(rank.step_s)},
          {"compute_s", real(rank.compute_s)},
          {"data_wait_s", real(rank.data_wait_s)},
          {"comm_wait_s", real(rank.comm_wait_s)},
          {"round_trip_s", real(rank.round_trip_s)},
          {"collective", collective_json(activity.newest)},
          {"sums",
           {{"steps", activity.times.steps},
            {"step_s", real(activity.times.step_s)},
            {"compute_s", real(activity.times.compute_s)},
            {"data_wait_s", real(activity.times.data_wait_s)},
            {"comm_wait_s", real(activity.times.comm_wait_s)}}},
          {"exit_code", optional(rank.exit_code)},
          {"last_words", rank.last_words}};
}

Json fault_json(const FaultRecord& fault) {
  return {{"time", fault.time},   {"attempt", fault.attempt}, {"step", fault.step},          {"kind", fault.kind},
          {"hosts", fault.hosts}, {"text", fault.text},       {"exit_code", fault.exit_code}};
}

}  // namespace

Json to_json(const JobStatus& status) {
  const watch::JobPicture& picture = status.picture;
  const watch::RunAbout& about = picture.about;
  const watch::RunNews& news = picture.news;
  Json json{{"job",
             {{"state", status.state},
              {"launcher", status.launcher},
              {"hosts", status.hosts},
              {"left_out_hosts", status.left_out_hosts},
              {"attempt", status.attempt},
              {"restarts", status.restarts},
              {"max_restarts", status.max_restarts},
              {"uptime_s", real(status.uptime_s)},
              {"training_s", real(status.training_s)},
              {"last_restart_s", known(status.last_restart_s, 0.0)},
              {"exit_code", optional(status.exit_code)}}},
            {"run",
             {{"name", about.name},
              {"folder", about.run_folder},
              {"total_steps", about.total_steps},
              {"steps_per_epoch", about.steps_per_epoch},
              {"batch", about.batch},
              {"shards", about.shards},
              {"watchdog_timeout_s", known(about.watchdog_timeout_s, 0.0)},
              {"watchdog_timeout_now_s", real(picture.watchdog_timeout_s)}}},
            {"progress",
             {{"step", news.step},
              {"samples", news.samples},
              {"epoch", news.epoch},
              {"loss", real(news.loss)},
              {"lr", real(news.lr)},
              {"images_per_s", real(news.images_per_s)},
              {"accuracy", known(news.accuracy, -1.0)}}},
            {"checkpoint",
             {{"step", known<std::int64_t>(news.checkpoint_step, -1)},
              {"every_steps", about.checkpoint_every_steps},
              {"stall_s", real(news.checkpoint_stall_s)},
              {"write_s", real(news.checkpoint_write_s)},
              {"failed_saves", news.failed_saves},
              {"advice", status.interval_advice}}},
            {"ranks", Json::array()},
            {"dropped_callers",
             {{"wrong_key", picture.dropped.wrong_key},
              {"malformed", picture.dropped.malformed},
              {"oversized", picture.dropped.oversized},
              {"too_many", picture.dropped.too_many},
              {"too_slow", picture.dropped.too_slow}}},
            {"faults", Json::array()}};
  for (const RankPicture& rank : picture.ranks) json["ranks"].push_back(rank_json(rank));
  for (const FaultRecord& fault : status.faults) json["faults"].push_back(fault_json(fault));
  return json;
}

}  // namespace athanor
