#include "train/rank_agreement.h"

#include <algorithm>
#include <vector>

#include "base/log.h"
#include "kernels/isa.h"
#include "train/phases.h"

namespace athanor {
namespace {

/// How a rank's text differs from rank 0's, in words.
using Describe = std::string (*)(const std::string& first, const std::string& other);

struct Comparison {
  const char* what;    ///< "another recipe"
  const char* advice;  ///< what to do next
  ExitCode code = ExitCode::usage;
  Describe describe = nullptr;
};

/// What the texts say where they first differ, line by line.
std::string differing_line(const std::string& first, const std::string& other) {
  const auto line_at = [](const std::string& text, std::size_t start) {
    return text.substr(start, text.find('\n', start) - start);
  };
  std::size_t start = 0, at = 0;
  for (; at < std::min(first.size(), other.size()) && first[at] == other[at]; ++at) {
    if (first[at] == '\n') start = at + 1;
  }
  return fmt::format("{} there and {} on rank 0", line_at(other, start), line_at(first, start));
}

std::string differing_key(const std::string& first, const std::string& other) {
  const auto found = difference(parse_yaml(other, "its recipe"), parse_yaml(first, "rank 0's recipe"));
  return found ? fmt::format("{} is {} there and {} on rank 0", found->path, found->a, found->b)
               : differing_line(first, other);
}

void want_same(Communicator& communicator, const std::string& text, const Comparison& comparison) {
  const std::vector<std::string> texts = gather_texts(communicator, text, comparison.what);
  const auto other = std::find_if(texts.begin(), texts.end(), [&](const std::string& its) { return its != texts[0]; });
  if (other == texts.end()) return;
  throw_on_all_ranks({comparison.code,
                      fmt::format("{} has {} than {}: {}; {}",
                                  communicator.name_of(static_cast<int>(other - texts.begin())), comparison.what,
                                  communicator.name_of(0), comparison.describe(texts[0], *other), comparison.advice)});
}

std::string describe_split(const char* split, const Dataset& set) {
  const DatasetInfo& info = set.info();
  return fmt::format("{} of {}: {} images of {}×{}×{}, fingerprint {}\n", split, info.name, set.size(), info.channels,
                     info.height, info.width, info.fingerprint);
}

}  // namespace

void want_same_program(Communicator& communicator, const std::string& program) {
  want_same(communicator, program,
            {"another program", "start the same build on all hosts", ExitCode::usage, differing_line});
}

void want_same_recipe(Communicator& communicator, const Recipe& recipe) {
  YamlNode compared = recipe.resolved;
  if (YamlNode* data = compared.find("data")) data->erase("path");
  want_same(
      communicator, emit(compared),
      {"another recipe", "start all ranks with the same recipe and the same settings", ExitCode::usage, differing_key});
}

void want_same_plans(Communicator& communicator, const Plan& training, const Plan& evaluation) {
  want_same(communicator, fmt::format("training {}\nevaluation {}", training.fingerprint(), evaluation.fingerprint()),
            {"another plan", "use hosts with the same kind of processor, or ATHANOR_ISA to make them alike",
             ExitCode::usage, differing_line});
}

void want_same_data(Communicator& communicator, const RunData& data) {
  want_same(communicator, describe_split("training split", *data.train) + describe_split("test split", *data.test),
            {"other data", "copy the same files to all hosts", ExitCode::data, differing_line});
}

void plan_alike(Communicator& communicator, const Backend& backend, const std::function<void()>& plan) {
  if (communicator.size() > 1 && backend.choices()) {
    first_does(communicator, "plan", plan);
    backend.take_choices(broadcast_text(communicator, *backend.choices(), 0, "choices"));
  }
  agree_on(communicator, "plan", plan);
}

void use_common_isa(Communicator& communicator, bool deterministic) {
  const auto own = static_cast<std::int32_t>(kernels::active_isa());
  std::vector<std::int32_t> sets(static_cast<std::size_t>(communicator.size()));
  communicator.all_gather(&own, sets.data(), sizeof own, "instruction sets");
  const std::int32_t lowest = *std::min_element(sets.begin(), sets.end());
  if (lowest == *std::max_element(sets.begin(), sets.end())) return;
  std::string text;
  for (std::size_t rank = 0; rank < sets.size(); ++rank) {
    if (rank > 0 && sets[rank] == sets[rank - 1]) continue;
    text += fmt::format("{}{} from {} on", text.empty() ? "" : ", ",
                        kernels::name_of(static_cast<kernels::Isa>(sets[rank])),
                        communicator.name_of(static_cast<int>(rank)));
  }
  const std::string_view common = kernels::name_of(static_cast<kernels::Isa>(lowest));
  if (deterministic) kernels::limit_isa(static_cast<kernels::Isa>(lowest));
  if (communicator.rank() != 0) return;
  log_warning("the processors differ ({}); {}", text,
              deterministic ? fmt::format("all ranks use {}, because train.deterministic is true", common)
                            : std::string("each rank uses its own, because train.deterministic is false: the bits "
                                          "depend on which rank runs a shard"));
}

}  // namespace athanor
