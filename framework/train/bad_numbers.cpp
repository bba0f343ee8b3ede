#include "train/bad_numbers.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "train/phases.h"

namespace athanor {
namespace {

/// Of a batch, in a message on the screen.
constexpr std::size_t kShownIndices = 8;

/// Sample indices of the whole batch, in its order.
std::vector<std::int64_t> indices_of_all_ranks(Communicator& communicator, const Batch& batch) {
  const std::span<const std::int64_t> own = batch.sample_indices;
  const std::string bytes(reinterpret_cast<const char*>(own.data()), own.size_bytes());
  std::vector<std::int64_t> indices;
  for (const std::string& of_rank : gather_texts(communicator, bytes, "samples of a bad step")) {
    const std::size_t count = of_rank.size() / sizeof(std::int64_t), before = indices.size();
    indices.resize(before + count);
    std::copy(of_rank.begin(), of_rank.end(), reinterpret_cast<char*>(indices.data() + before));
  }
  return indices;
}

std::string first_bad_output(Executable& executable, Communicator& communicator, const Batch& batch) {
  const std::optional<BadValue> bad = executable.find_non_finite(batch);
  const std::string own =
      bad ? fmt::format("first bad output: {} of layer {}, shard {}", bad->op, bad->layer, bad->shard) : "";
  for (const std::string& found : gather_texts(communicator, own, "first bad output")) {
    if (!found.empty()) return found;
  }
  return "no single output is bad: a sum overflowed";
}

}  // namespace

const char* what_is_bad(const StepResult& result) {
  if (!std::isfinite(result.loss)) return "the loss";
  return !std::isfinite(result.grad_norm) ? "the gradient" : "a batch statistic";
}

void fail_for_bad_numbers(Executable& executable, Communicator& communicator, const Batch& batch, const BadStep& bad,
                          std::string& full) {
  const std::string where = first_bad_output(executable, communicator, batch);
  const std::vector<std::int64_t> indices = indices_of_all_ranks(communicator, batch);
  const auto message = [&](const std::string& samples) {
    return fmt::format(
        "step {}: {} is not finite (learning rate {:g}); {}; sample indices of the batch: {}. Lower optimizer.lr, set "
        "optimizer.clip_norm, or let train.on_nonfinite=skip leave such updates out",
        bad.step, what_is_bad(bad.result), bad.lr, where, samples);
  };
  full = message(fmt::format("{}", fmt::join(indices, ", ")));
  if (indices.size() <= kShownIndices) throw_on_all_ranks({ExitCode::numerics, full});
  throw_on_all_ranks(
      {ExitCode::numerics, message(fmt::format("{}, … and {} more (all are in log.txt)",
                                               fmt::join(indices.begin(), indices.begin() + kShownIndices, ", "),
                                               indices.size() - kShownIndices))});
}

}  // namespace athanor
