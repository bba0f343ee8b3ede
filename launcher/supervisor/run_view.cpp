#include "launcher/supervisor/run_view.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/error.h"
#include "base/host_name.h"
#include "base/text_file.h"
#include "base/tilde.h"
#include "io/checkpoint_folder.h"
#include "launcher/supervisor/status_file.h"
#include "train/read_summary.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// The end of metrics.jsonl that is read: thousands of steps, with an evaluation among them more often than not.
constexpr std::uintmax_t kTailBytes = std::uintmax_t{1} << 20;
/// Metrics that are so much newer than status.json are those of a later run without a supervisor.
constexpr double kOtherRun_s = 60;

double now_unix_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::optional<double> changed_unix_s(const fs::path& file) {
  std::error_code error;
  const auto time = fs::last_write_time(file, error);
  if (error) return std::nullopt;
  return std::chrono::duration<double>(std::chrono::file_clock::to_sys(time).time_since_epoch()).count();
}

/// Whether a process of this program has that number; nullopt where another host would have to say.
std::optional<bool> lives(std::int64_t pid, const std::string& host) {
  if (pid <= 0 || host != host_name()) return std::nullopt;
  if (::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) return false;
  // Numbers are used again.
  return read_text(fmt::format("/proc/{}/comm", pid)) == read_text("/proc/self/comm");
}

struct LockHolder {
  std::int64_t pid = 0;
  std::string host;
};

/// What the run's lock says: "pid N on HOST".
LockHolder holder_of_lock(const fs::path& run_folder) {
  const std::string text = read_text(run_folder / ".lock");
  long long pid = 0;
  char host[256] = "";
  if (std::sscanf(text.c_str(), "pid %lld on %255s", &pid, host) != 2) return {};
  return {pid, host};
}

template <typename Value>
void take_number(const Json& line, const char* key, Value& value) {
  const auto found = line.find(key);
  if (found != line.end() && found->is_number()) value = found->template get<Value>();
}

/// Of lines from the newest on, the speed over about the last seconds.
class NewestSteps {
 public:
  bool are_enough() const { return seconds_ >= kEnough_s; }
  void add(const Json& line) {
    double images_per_s = 0, step_ms = 0;
    take_number(line, "images_per_s", images_per_s);
    take_number(line, "step_ms", step_ms);
    if (images_per_s <= 0 || step_ms <= 0) return;
    images_ += images_per_s * step_ms / 1e3;
    seconds_ += step_ms / 1e3;
  }
  double images_per_s() const { return seconds_ > 0 ? images_ / seconds_ : 0; }

 private:
  static constexpr double kEnough_s = 3;
  double images_ = 0, seconds_ = 0;
};

/// Of the newest lines of each kind; lines that are torn or none are passed over.
void take_metrics(const fs::path& file, watch::RunNews& news) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  if (!in) return;
  const auto size = static_cast<std::uintmax_t>(std::max<std::streamoff>(0, in.tellg()));
  const std::uintmax_t bytes = std::min(size, kTailBytes);
  in.seekg(static_cast<std::streamoff>(size - bytes));
  std::string tail(bytes, '\0');
  in.read(tail.data(), static_cast<std::streamsize>(bytes));
  tail.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
  bool has_step = false, has_evaluation = false;
  NewestSteps steps;
  while (!tail.empty() && !(steps.are_enough() && has_evaluation)) {
    const std::size_t begin = tail.find_last_of('\n') + 1;  // npos + 1 is 0
    const Json line = Json::parse(tail.begin() + static_cast<std::ptrdiff_t>(begin), tail.end(), nullptr, false);
    tail.resize(begin > 0 ? begin - 1 : 0);
    if (!line.is_object()) continue;
    const Json kind = line.value("kind", Json());
    if (kind == "train" && !steps.are_enough()) steps.add(line);
    if (kind == "train" && !has_step) {
      has_step = true;
      take_number(line, "step", news.step);
      take_number(line, "epoch", news.epoch);
      take_number(line, "samples", news.samples);
      take_number(line, "loss", news.loss);
      take_number(line, "lr", news.lr);
    } else if (kind == "eval" && !has_evaluation) {
      has_evaluation = true;
      take_number(line, "accuracy", news.accuracy);
    }
  }
  if (has_step) news.images_per_s = steps.images_per_s();
}

void take_newest_checkpoint(const fs::path& run_folder, watch::RunNews& news) {
  const auto checkpoints = CheckpointFolder(run_folder / "checkpoints").list();
  if (!checkpoints.empty()) news.checkpoint_step = CheckpointFolder::step_of(checkpoints.front());
}

void take_summary(const fs::path& run_folder, JobStatus& status) {
  try {
    const Summary summary = read_summary(run_folder);
    status.state = "ended";
    if (summary.status == "done") status.picture.about.total_steps = summary.steps;
    for (const auto& [word, code] : {std::pair{"done", ExitCode::done}, std::pair{"preempted", ExitCode::preempted},
                                     std::pair{"interrupted", ExitCode::interrupted}}) {
      if (summary.status == word) status.exit_code = static_cast<int>(code);
    }
  } catch (const std::exception&) {
    status.state = "unknown";  // half written, or another version's
  }
}

RunView look_without_supervisor(const fs::path& run_folder) {
  RunView view;
  const LockHolder holder = holder_of_lock(run_folder);
  view.is_alive = lives(holder.pid, holder.host);
  if (holder.pid > 0) view.writer = fmt::format("pid {} on {}", holder.pid, holder.host);
  if (const auto changed = changed_unix_s(run_folder / "metrics.jsonl")) view.age_s = now_unix_s() - *changed;
  view.status.picture.about.run_folder = run_folder.string();
  view.status.picture.about.name = fs::absolute(run_folder).lexically_normal().filename().string();
  take_metrics(run_folder / "metrics.jsonl", view.status.picture.news);
  take_newest_checkpoint(run_folder, view.status.picture.news);
  std::error_code error;
  if (fs::exists(run_folder / "summary.json", error)) {
    take_summary(run_folder, view.status);
  } else {
    view.status.state = view.is_alive ? (*view.is_alive ? "running" : "ended") : "unknown";
  }
  return view;
}

/// For a status that says that the job goes on: where nobody is left to say more, how it went on.
void take_what_ranks_left(const fs::path& run_folder, RunView& view) {
  // By the file system's clock alone: hosts have others.
  const auto written_unix_s = changed_unix_s(run_folder / "status.json");
  const auto is_newer = [&](const char* name) {
    const auto changed = changed_unix_s(run_folder / name);
    return changed && written_unix_s && *changed >= *written_unix_s;
  };
  const bool has_summary = is_newer("summary.json"), is_overdue = view.age_s.value_or(0) > kOverdue_s;
  view.is_orphaned = view.is_alive == false || (!view.is_alive && is_overdue && has_summary);
  if (!view.is_orphaned) return;
  JobStatus& status = view.status;
  if (is_newer("metrics.jsonl")) take_metrics(run_folder / "metrics.jsonl", status.picture.news);
  take_newest_checkpoint(run_folder, status.picture.news);
  if (has_summary) return take_summary(run_folder, status);
  // Ranks end within seconds when their supervisor does.
  const LockHolder holder = holder_of_lock(run_folder);
  const std::optional<bool> is_rank_alive = lives(holder.pid, holder.host);
  status.state = is_rank_alive == true ? "running" : is_rank_alive == false || is_overdue ? "ended" : "unknown";
}

}  // namespace

RunView look_at_run(const fs::path& run_folder) {
  std::optional<StatusFile> file = read_status_file(run_folder);
  if (file && file->status.state != "ended" && lives(file->pid, file->host) == false) {
    file = read_status_file(run_folder);  // its last word, if it left in between
  }
  if (file) {
    RunView view{.status = std::move(file->status), .is_supervised = true};
    view.writer = fmt::format("pid {} on {}", file->pid, file->host);
    view.is_alive = lives(file->pid, file->host);
    view.age_s = now_unix_s() - file->written_unix_s;
    const auto metrics = changed_unix_s(run_folder / "metrics.jsonl");
    const bool is_of_another_run = view.is_alive != true && metrics && *metrics > file->written_unix_s + kOtherRun_s;
    if (!is_of_another_run) {
      if (view.status.state != "ended") take_what_ranks_left(run_folder, view);
      return view;
    }
  }
  std::error_code error;
  if (!fs::exists(run_folder / "recipe.yaml", error) && !fs::exists(run_folder / "metrics.jsonl", error)) {
    throw UsageError("{} holds no run: there is neither status.json nor recipe.yaml; wanted a run folder (runs/NAME){}",
                     run_folder.string(), tilde_hint(run_folder.string()));
  }
  return look_without_supervisor(run_folder);
}

}  // namespace athanor
