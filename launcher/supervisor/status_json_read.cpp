#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "launcher/supervisor/status_json.h"

namespace athanor {
namespace {

using Json = nlohmann::ordered_json;

/// Reads `json[key]` into `value` where it is there and known.
template <typename Value>
void take(const Json& json, const char* key, Value& value) {
  const auto found = json.find(key);
  if (found != json.end() && !found->is_null()) value = found->template get<Value>();
}

/// The same for numbers that may be NaN, which is written as null.
void take_real(const Json& json, const char* key, double& value) {
  const auto found = json.find(key);
  if (found == json.end()) return;
  value = found->is_null() ? std::numeric_limits<double>::quiet_NaN() : found->get<double>();
}

void take_optional(const Json& json, const char* key, std::optional<int>& value) {
  const auto found = json.find(key);
  if (found != json.end() && !found->is_null()) value = found->get<int>();
}

/// One of an enumeration's first `count` values by its name.
template <typename Enum>
void take_name(const Json& json, const char* key, int count, Enum& value) {
  const std::string name = json.value(key, "");
  for (int i = 0; i < count; ++i) {
    if (watch::name_of(static_cast<Enum>(i)) == name) value = static_cast<Enum>(i);
  }
}

const Json& part(const Json& json, const char* key) {
  static const Json kNothing = Json::object();
  const auto found = json.find(key);
  return found == json.end() || found->is_null() ? kNothing : *found;
}

watch::Collective collective_from(const Json& json) {
  watch::Collective call;
  const std::string name = json.value("name", "");
  name.copy(call.name.data(), call.name.size() - 1);
  take(json, "group", call.group);
  take(json, "sequence", call.sequence);
  take(json, "bytes", call.bytes);
  take(json, "begun_ns", call.begun_ns);
  take(json, "ended_ns", call.ended_ns);
  return call;
}

watch::RankPicture rank_from(const Json& json) {
  watch::RankPicture rank;
  take(json, "rank", rank.rank);
  take(json, "host", rank.host);
  take(json, "pid", rank.pid);
  take(json, "cpus", rank.cpus);
  take(json, "threads", rank.threads);
  take(json, "shards", rank.shards);
  take_name(json, "presence", static_cast<int>(watch::Presence::left) + 1, rank.presence);
  take_name(json, "phase", static_cast<int>(watch::Phase::ending) + 1, rank.activity.phase);
  take(json, "step", rank.activity.step);
  take(json, "progress", rank.activity.progress);
  take(json, "beat_age_s", rank.beat_age_s);
  take(json, "stalled_s", rank.stalled_s);
  take(json, "step_s", rank.step_s);
  take(json, "compute_s", rank.compute_s);
  take(json, "data_wait_s", rank.data_wait_s);
  take(json, "comm_wait_s", rank.comm_wait_s);
  take(json, "round_trip_s", rank.round_trip_s);
  rank.activity.newest = collective_from(part(json, "collective"));
  const Json& sums = part(json, "sums");
  take(sums, "steps", rank.activity.times.steps);
  take(sums, "step_s", rank.activity.times.step_s);
  take(sums, "compute_s", rank.activity.times.compute_s);
  take(sums, "data_wait_s", rank.activity.times.data_wait_s);
  take(sums, "comm_wait_s", rank.activity.times.comm_wait_s);
  take_optional(json, "exit_code", rank.exit_code);
  take(json, "last_words", rank.last_words);
  return rank;
}

FaultRecord fault_from(const Json& json) {
  FaultRecord fault;
  take(json, "time", fault.time);
  take(json, "attempt", fault.attempt);
  take(json, "step", fault.step);
  take(json, "kind", fault.kind);
  take(json, "hosts", fault.hosts);
  take(json, "text", fault.text);
  take(json, "exit_code", fault.exit_code);
  return fault;
}

void take_job(const Json& job, JobStatus& status) {
  take(job, "state", status.state);
  take(job, "launcher", status.launcher);
  take(job, "hosts", status.hosts);
  take(job, "left_out_hosts", status.left_out_hosts);
  take(job, "attempt", status.attempt);
  take(job, "restarts", status.restarts);
  take(job, "max_restarts", status.max_restarts);
  take(job, "uptime_s", status.uptime_s);
  take(job, "training_s", status.training_s);
  take(job, "last_restart_s", status.last_restart_s);
  take_optional(job, "exit_code", status.exit_code);
}

void take_run(const Json& run, watch::JobPicture& picture) {
  take(run, "name", picture.about.name);
  take(run, "folder", picture.about.run_folder);
  take(run, "total_steps", picture.about.total_steps);
  take(run, "steps_per_epoch", picture.about.steps_per_epoch);
  take(run, "batch", picture.about.batch);
  take(run, "shards", picture.about.shards);
  take(run, "watchdog_timeout_s", picture.about.watchdog_timeout_s);
  take(run, "watchdog_timeout_now_s", picture.watchdog_timeout_s);
}

void take_news(const Json& progress, const Json& checkpoint, watch::JobPicture& picture) {
  take(progress, "step", picture.news.step);
  take(progress, "samples", picture.news.samples);
  take(progress, "epoch", picture.news.epoch);
  take_real(progress, "loss", picture.news.loss);
  take(progress, "lr", picture.news.lr);
  take(progress, "images_per_s", picture.news.images_per_s);
  take(progress, "accuracy", picture.news.accuracy);
  take(checkpoint, "step", picture.news.checkpoint_step);
  take(checkpoint, "stall_s", picture.news.checkpoint_stall_s);
  take(checkpoint, "write_s", picture.news.checkpoint_write_s);
  take(checkpoint, "failed_saves", picture.news.failed_saves);
  take(checkpoint, "every_steps", picture.about.checkpoint_every_steps);
}

JobStatus status_from(const Json& json) {
  JobStatus status;
  take_job(part(json, "job"), status);
  take_run(part(json, "run"), status.picture);
  take_news(part(json, "progress"), part(json, "checkpoint"), status.picture);
  take(part(json, "checkpoint"), "advice", status.interval_advice);
  for (const Json& rank : part(json, "ranks")) status.picture.ranks.push_back(rank_from(rank));
  const Json& dropped = part(json, "dropped_callers");
  take(dropped, "wrong_key", status.picture.dropped.wrong_key);
  take(dropped, "malformed", status.picture.dropped.malformed);
  take(dropped, "oversized", status.picture.dropped.oversized);
  take(dropped, "too_many", status.picture.dropped.too_many);
  take(dropped, "too_slow", status.picture.dropped.too_slow);
  for (const Json& fault : part(json, "faults")) status.faults.push_back(fault_from(fault));
  return status;
}

}  // namespace

JobStatus job_status_from(const Json& json) {
  try {
    return status_from(json);
  } catch (const Json::exception& error) {
    throw DataError("a job's status cannot be read: {}", error.what());
  }
}

}  // namespace athanor
