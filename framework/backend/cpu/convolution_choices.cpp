#include "backend/cpu/convolution_choices.h"

#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <filesystem>
#include <mutex>

#include "backend/choice_file.h"
#include "backend/cpu/convolution_candidates.h"
#include "backend/cpu/onednn.h"
#include "base/cpu_model.h"
#include "base/error.h"
#include "kernels/isa.h"

namespace athanor::cpu {
namespace {

/// How much faster than the rule's choice another must be: less is noise, and direct sums round better.
constexpr double kWorthwhile = 0.95;

/// Where a choice can run and has the same bits. Known only when ranks have agreed on an instruction set.
std::string place() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("{} blocks of {} oneDNN {}.{}.{}", kernels::name_of(kernels::active_isa()), block_channels(),
                     version->major, version->minor, version->patch);
}

/// Of what is measured: another one makes every machine measure again. To be raised with each change of our kernels'
/// speed.
constexpr int kKernelRevision = 1;

std::string first_line_at(const std::string& place) {
  return fmt::format("athanor convolutions 1: {}", place);
}

using Candidates = std::vector<ProductCandidate>;

Candidates::const_iterator find_named(const Candidates& candidates, const std::string& name) {
  return std::find_if(candidates.begin(), candidates.end(),
                      [&](const ProductCandidate& candidate) { return name_of(candidate) == name; });
}

/// With its time and the rule's for who reads the file.
struct Measured {
  std::string name, note;
};

/// Of a smaller batch. What its rule takes stands for what the whole one's does, which may have another name; others
/// are timed where the whole batch has them too.
Measured measure(const Convolution& convolution, const Candidates& candidates, const TimeCandidates& time) {
  Candidates timed = planner_candidates(cut_for_timing(convolution));
  ATHANOR_CHECK(!timed.empty(), "a part of the batch of {} has no implementation", convolution.key());
  timed.erase(std::remove_if(timed.begin() + 1, timed.end(),
                             [&](const ProductCandidate& each) {
                               return find_named(candidates, name_of(each)) == candidates.end();
                             }),
              timed.end());
  const std::vector<double> seconds = time(timed, convolution.threads);
  const auto fastest = static_cast<std::size_t>(std::min_element(seconds.begin(), seconds.end()) - seconds.begin());
  const bool is_worthwhile = seconds[fastest] < kWorthwhile * seconds[0];
  std::string note;
  for (std::size_t i = 0; i < timed.size(); ++i)
    note += fmt::format("{}{} {:.1f} us", i == 0 ? "" : ", ", timed[i].implementation, 1e6 * seconds[i]);
  return {name_of(is_worthwhile ? timed[fastest] : candidates[0]), note};
}

/// Without a measurement: our own kernel where it can run, which is nearly always the fastest.
const ProductCandidate& guess(const Candidates& candidates) {
  return candidates.back();
}

}  // namespace

struct ConvolutionChoices::State {
  std::string cache_folder;
  TimeCandidates time;
  mutable std::mutex mutex;
  std::string first_line;  ///< that `chosen` is for
  std::optional<ChoiceFile> file;
  Choices chosen;

  /// Choices for another instruction set, which this process used before it met its ranks, are none here.
  void settle_place() {
    limit_onednn_isa();
    const std::string here = place(), line = first_line_at(here);
    if (first_line == line) return;
    first_line = line;
    chosen.clear();
    const std::string where = fmt::format("{} {}", cpu_model(), here);
    const std::filesystem::path path =
        cache_folder.empty() ? std::filesystem::path()
                             : std::filesystem::path(cache_folder) / choice_file_name("convolutions", where);
    file.emplace(path, first_line_at(fmt::format("{} kernels {}", where, kKernelRevision)));
  }

  /// The name of one of the candidates. Where nothing can be kept nothing is measured: each start might choose
  /// otherwise, and give other bits.
  std::string settled(const std::string& key, const Convolution& convolution, const Candidates& candidates) {
    const std::optional<std::string> held = file->find(key);
    const auto can_run = [&](const std::string& name) { return find_named(candidates, name) != candidates.end(); };
    if (held && can_run(*held)) return *held;
    if (!file->keeps()) return name_of(guess(candidates));
    const Measured measured = measure(convolution, candidates, time);
    const std::optional<std::string> name = file->settle(key, measured.name, measured.note, held);
    return name && can_run(*name) ? *name : name_of(guess(candidates));
  }
};

ConvolutionChoices::ConvolutionChoices(std::string cache_folder, TimeCandidates time)
    : state_(new State{.cache_folder = std::move(cache_folder), .time = std::move(time)}) {}
ConvolutionChoices::~ConvolutionChoices() = default;

std::optional<ProductCandidate> ConvolutionChoices::choose(const Convolution& convolution, bool measures) {
  const std::lock_guard lock(state_->mutex);
  state_->settle_place();
  const Candidates candidates = planner_candidates(convolution);
  if (candidates.empty()) return std::nullopt;
  const std::string key = convolution.key();
  const auto known = state_->chosen.find(key);
  if (known == state_->chosen.end()) {
    if (candidates.size() == 1) return candidates[0];
    if (!measures) return guess(candidates);
    const std::string name = state_->settled(key, convolution, candidates);
    state_->chosen[key] = name;
    return *find_named(candidates, name);
  }
  const auto found = find_named(candidates, known->second);
  if (found != candidates.end()) return *found;
  throw DeviceError(
      "this processor ({}) has no '{}' for the convolution {}, which the run's first rank or its checkpoint chose; use "
      "processors of one kind, or train.winograd=off",
      cpu_model(), known->second, key);
}

std::string ConvolutionChoices::text() const {
  const std::lock_guard lock(state_->mutex);
  state_->settle_place();
  return text_of(state_->chosen, state_->first_line);
}

void ConvolutionChoices::take(const std::string& text) {
  const std::lock_guard lock(state_->mutex);
  state_->settle_place();
  for (const auto& [key, name] : choices_from(text, state_->first_line)) state_->chosen.insert_or_assign(key, name);
}

}  // namespace athanor::cpu
