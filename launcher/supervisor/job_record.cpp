#include "launcher/supervisor/job_record.h"

#include <fmt/chrono.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "launcher/supervisor/older_news.h"
#include "launcher/supervisor/status_file.h"
#include "launcher/supervisor/young_daly.h"

namespace athanor {
namespace {

constexpr std::chrono::seconds kWriteEvery{2};
/// The share of the time that writing may take: with thousands of ranks it is a tenth of a second a time.
constexpr int kWritingShare = 50;
/// Who looks must not think that nobody writes any more.
constexpr std::chrono::seconds kWriteAtLeastEvery{15};

double seconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

std::string line_of(const FaultRecord& fault) {
  const nlohmann::ordered_json json{{"time", fault.time},          {"attempt", fault.attempt}, {"step", fault.step},
                                    {"kind", fault.kind},          {"hosts", fault.hosts},     {"text", fault.text},
                                    {"exit_code", fault.exit_code}};
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

bool is_warning(std::string_view kind) {
  return kind == "straggler" || kind == "silent";
}

std::string utc_now() {
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
}

JobRecord::JobRecord(JobStatus status) : status_(std::move(status)), writer_([this] { keep_writing(); }) {}

JobRecord::~JobRecord() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  work_changed_.notify_one();
  writer_.join();
}

JobStatus JobRecord::status() const {
  const std::lock_guard lock(mutex_);
  JobStatus status = status_;
  status.picture = picture();
  const auto now = std::chrono::steady_clock::now();
  status.uptime_s = seconds_between(start_, now);
  if (is_training_) status.training_s += seconds_between(training_since_, now);
  status.interval_advice = interval_advice(status);
  return status;
}

void JobRecord::change(const std::function<void(JobStatus&)>& change) {
  const std::lock_guard lock(mutex_);
  change(status_);
}

watch::JobPicture JobRecord::picture() const {
  if (!service_) return status_.picture;
  return with_older_news(service_->picture(), status_.picture);
}

void JobRecord::watch(std::shared_ptr<const watch::HeartbeatService> service) {
  const std::lock_guard lock(mutex_);
  status_.picture = picture();
  service_ = std::move(service);
}

void JobRecord::add_fault(FaultRecord fault) {
  const std::lock_guard lock(mutex_);
  are_faults_due_ = are_faults_due_ || is_warning(fault.kind);
  status_.faults.push_back(std::move(fault));
  work_changed_.notify_one();
}

void JobRecord::settle_faults(int attempt, int code) {
  const std::lock_guard lock(mutex_);
  for (FaultRecord& fault : status_.faults) {
    if (fault.attempt == attempt && !is_warning(fault.kind)) fault.exit_code = code;
  }
  faults_settled_ = status_.faults.size();
  are_faults_due_ = true;
  work_changed_.notify_one();
}

void JobRecord::note_training(bool is_on) {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (is_training_) status_.training_s += seconds_between(training_since_, now);
  is_training_ = is_on;
  training_since_ = now;
}

/// A thread of its own: a disk that hangs holds up nobody but it.
void JobRecord::keep_writing() {
  std::unique_lock lock(mutex_);
  bool is_last = false;
  std::chrono::steady_clock::duration pause = kWriteEvery;
  while (!is_last) {
    const auto due = std::chrono::steady_clock::now() + pause;
    while (work_changed_.wait_until(lock, due, [this] { return is_ending_ || are_faults_due_; }) && !is_ending_) {
      are_faults_due_ = false;
      lock.unlock();
      write_faults();
      lock.lock();
    }
    is_last = is_ending_;
    lock.unlock();
    const auto begun = std::chrono::steady_clock::now();
    write_faults();
    write_status();
    pause = std::clamp<std::chrono::steady_clock::duration>(kWritingShare * (std::chrono::steady_clock::now() - begun),
                                                            kWriteEvery, kWriteAtLeastEvery);
    lock.lock();
  }
}

void JobRecord::write_status() {
  const JobStatus now = status();
  const std::filesystem::path folder = now.picture.about.run_folder;
  std::error_code ignored;
  if (!folder.empty() && std::filesystem::is_directory(folder, ignored)) write_status_file(folder, now);
}

void JobRecord::write_faults() {
  std::size_t settled = 0;
  std::vector<FaultRecord> faults;
  std::filesystem::path folder;
  {
    const std::lock_guard lock(mutex_);
    settled = faults_settled_;
    faults = status_.faults;
    folder = picture().about.run_folder;
  }
  faults_written_.resize(faults.size());
  std::vector<bool> written = faults_written_;
  std::string lines;
  for (std::size_t i = 0; i < faults.size(); ++i) {
    if (written[i] || (i >= settled && !is_warning(faults[i].kind))) continue;
    lines += line_of(faults[i]);
    written[i] = true;
  }
  std::error_code ignored;
  if (lines.empty() || folder.empty() || !std::filesystem::is_directory(folder, ignored)) return;
  std::ofstream out(folder / "faults.jsonl", std::ios::app | std::ios::binary);
  out << lines << std::flush;
  if (out) faults_written_ = std::move(written);
}

}  // namespace athanor
