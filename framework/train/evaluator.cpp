#include "train/evaluator.h"

#include <vector>

#include "base/error.h"
#include "kernels/reduce.h"

namespace athanor {

Evaluation evaluate(Executable& executable, Loader& loader, std::span<const double> class_weights, bool averaged,
                    const std::function<bool()>& stop) {
  const auto rows = static_cast<std::size_t>(loader.source().rows());
  std::vector<float> losses, batch_losses(rows);
  std::vector<std::int32_t> batch_ranks(rows);
  losses.reserve(static_cast<std::size_t>(loader.source().samples()));
  std::int64_t correct = 0, correct_top5 = 0;
  double total_weight = 0;  // of the labels, added in the order of the samples
  while (loader.remaining() > 0) {
    if (stop && stop()) {
      loader.restart();
      return {};
    }
    const Batch& batch = loader.next();
    executable.evaluate(batch, batch_losses, batch_ranks, averaged);
    for (std::size_t row = 0; row < static_cast<std::size_t>(batch.valid); ++row) {
      losses.push_back(batch_losses[row]);
      total_weight += class_weights.empty() ? 1.0 : class_weights[static_cast<std::size_t>(batch.labels[row])];
      correct += batch_ranks[row] == 0 ? 1 : 0;
      correct_top5 += batch_ranks[row] >= 0 && batch_ranks[row] < 5 ? 1 : 0;
    }
  }
  loader.restart();
  const auto samples = static_cast<std::int64_t>(losses.size());
  ATHANOR_CHECK(samples == loader.source().samples(), "{} of {} samples", samples, loader.source().samples());
  std::vector<double> block_sums(static_cast<std::size_t>(kernels::sum_blocks(samples)));
  const double loss = kernels::reduce_kernels().sum(losses.data(), samples, block_sums.data(), 1);
  const auto count = static_cast<double>(samples);
  // As in training, a loss of nothing but labels of weight 0 is 0.
  return {.loss = total_weight > 0 ? loss / total_weight : 0,
          .accuracy = static_cast<double>(correct) / count,
          .top5 = static_cast<double>(correct_top5) / count,
          .samples = samples};
}

}  // namespace athanor
