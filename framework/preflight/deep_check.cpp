#include "preflight/deep_check.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "preflight/clock_offsets.h"
#include "preflight/data_on_hosts.h"
#include "preflight/host_memory.h"
#include "preflight/launcher_facts.h"
#include "preflight/link_speed.h"
#include "preflight/rank_binding.h"
#include "preflight/resource_limits.h"
#include "preflight/run_place.h"
#include "train/control_groups.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;

constexpr double kLinks_s = 0.4, kDisk_s = 1.5;
constexpr std::uint64_t kMostTrialBytes = std::uint64_t{64} << 20, kLeastTrialBytes = std::uint64_t{16} << 20;

class DeepCheck {
 public:
  DeepCheck(const DeepSubject& subject, const Hardware& hardware, Communicator& communicator)
      : subject_(subject), hardware_(hardware), communicator_(communicator) {
    for (int rank = 0; rank < communicator_.size(); ++rank) hosts_.push_back(communicator_.host(rank));
  }

  Finding launcher() {
    return judge_launcher([](const char* name) { return std::getenv(name); }, communicator_.size());
  }

  Finding binding() {
    const RankPlace own{.host = communicator_.host(),
                        .cpus = allowed_cpu_ids(),
                        .host_cpus = host_cpus(),
                        .threads = subject_.threads,
                        .device = subject_.backend ? subject_.backend->device_place() : ""};
    std::vector<RankPlace> places;
    const std::vector<std::string> texts = gather_texts(communicator_, text_of_place(own), "binding");
    for (std::size_t rank = 0; rank < texts.size(); ++rank) places.push_back(place_of_text(texts[rank], hosts_[rank]));
    return judge_binding(places);
  }

  /// What was opened for the check before is in memory already.
  Finding memory() {
    RankMemory own{.host = communicator_.host(), .left_bytes = hardware_.memory_available_bytes};
    if (subject_.memory) {
      const bool on_device = subject_.backend != nullptr && subject_.backend->device_memory_bytes().has_value();
      own.planned_bytes = subject_.memory->total() - (on_device ? subject_.memory->device() : 0);
      own.to_come_bytes = own.planned_bytes - (subject_.data != nullptr ? subject_.memory->data : 0);
    }
    if (const auto limit = tightest_memory_limit()) {
      own.limit_bytes = limit->limit_bytes;
      own.group = limit->group.string();
    }
    std::vector<RankMemory> ranks;
    const std::vector<std::string> texts = gather_texts(communicator_, text_of_memory(own), "memory");
    for (std::size_t rank = 0; rank < texts.size(); ++rank) ranks.push_back(memory_of_text(texts[rank], hosts_[rank]));
    return judge_host_memory(ranks);
  }

  Finding limits() {
    std::error_code ignored;
    const LimitNeeds needs{
        .ranks = communicator_.size(),
        .threads_of_host = subject_.threads * communicator_.local_size(),
        .peak_bytes = subject_.memory ? subject_.memory->total() : 0,
        .checkpoint_bytes = communicator_.rank() == 0 ? subject_.checkpoint_bytes : 0,
        .has_rdma = fs::exists("/sys/class/infiniband", ignored) && !fs::is_empty("/sys/class/infiniband", ignored),
        .has_device = subject_.backend != nullptr && subject_.backend->name() == "cuda"};
    return judge_limits(read_resource_limits(), needs);
  }

  Finding clocks() { return judge_clocks(measure_clocks(communicator_, first_ranks_of_hosts(communicator_)), hosts_); }

  Finding folder() {
    // Rank 0 writes, so its idea of the folder counts; a rank that knows none still takes part.
    const int is_known = subject_.run.empty() ? 0 : 1;
    if (broadcast_text(communicator_, std::to_string(is_known), 0, "run folder") == "0") {
      return {"not checked: rank 0 does not know the run folder", CheckStatus::skipped};
    }
    return check_shared(communicator_, existing_part(subject_.run.empty() ? "." : subject_.run));
  }

  Finding disk() {
    if (communicator_.rank() != 0) return {"rank 0 writes"};
    if (subject_.run.empty()) return {"not checked: depends on what failed above", CheckStatus::skipped};
    const fs::path place = existing_part(subject_.run);
    std::error_code error;
    const fs::space_info space = fs::space(place, error);
    const std::uint64_t room = error ? kMostTrialBytes : space.available / 2;
    const std::uint64_t bytes =
        std::min(room, std::clamp(subject_.checkpoint_bytes, kLeastTrialBytes, kMostTrialBytes));
    try {
      return judge_disk(place, measure_disk(place, bytes, kDisk_s), subject_.checkpoint_bytes);
    } catch (const StorageError& problem) {
      return {problem.what(), CheckStatus::failed, problem.code()};
    }
  }

  Finding files() {
    std::string text;
    if (subject_.data != nullptr) {
      std::vector<SourceFile> files = subject_.data->train->files();
      for (const SourceFile& file : subject_.data->test->files()) {
        const bool known =
            std::any_of(files.begin(), files.end(), [&](const SourceFile& other) { return other.path == file.path; });
        if (!known) files.push_back(file);
      }
      text = text_of_files(files, subject_.data->train->info().fingerprint + subject_.data->test->info().fingerprint);
    }
    return judge_data(gather_texts(communicator_, text, "data of the ranks"), hosts_);
  }

  Finding links() {
    const std::vector<int> firsts = first_ranks_of_hosts(communicator_);
    return judge_links(measure_links(communicator_, firsts, kLinks_s), hosts_);
  }

 private:
  /// Of the host, those that the job may use; not those that this rank is bound to.
  int host_cpus() const {
    auto cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
    if (const auto set = cpuset_size()) cpus = std::min(cpus, *set);
    if (const char* granted = std::getenv("SLURM_CPUS_ON_NODE")) {
      if (const int count = std::atoi(granted); count > 0) cpus = std::min(cpus, count);
    }
    return std::max(1, static_cast<int>(std::ceil(quota_cpus("/", cpus))));
  }

  const DeepSubject& subject_;
  const Hardware& hardware_;
  Communicator& communicator_;
  std::vector<std::string> hosts_;  ///< by rank
};

}  // namespace

std::vector<CheckLine> check_deeply(const DeepSubject& subject, const Hardware& hardware, Communicator& communicator) {
  DeepCheck check(subject, hardware, communicator);
  std::vector<CheckLine> lines;
  const auto add = [&](const char* what, const Finding& found) {
    lines.push_back({found.status, what, found.text, found.code});
  };
  add("launcher", check.launcher());
  add("binding", check.binding());
  add("cgroup", check.memory());
  add("ulimits", check.limits());
  add("clocks", check.clocks());
  add("shared", check.folder());
  add("speed", check.disk());
  add("content", check.files());
  add("links", check.links());
  return lines;
}

}  // namespace athanor
