#include "train/evaluator.h"

#include <bit>
#include <vector>

#include "base/error.h"
#include "kernels/reduce.h"

namespace athanor {
namespace {

/// Of every sample of a split: its loss, as bits, and the rank of its label's logit. A process fills in those of its
/// own rows; as numbers to which zeros are added, they come together over the ranks without rounding.
class SampleResults {
 public:
  explicit SampleResults(std::int64_t samples)
      : samples_(static_cast<std::size_t>(samples)), words_(2 * samples_), losses_(samples_) {}

  void set(std::int64_t sample, float loss, std::int32_t rank) {
    words_[static_cast<std::size_t>(sample)] = std::bit_cast<std::int32_t>(loss);
    words_[samples_ + static_cast<std::size_t>(sample)] = rank;
  }
  void combine(Communicator& communicator) {
    communicator.all_reduce(words_.data(), words_.size(), DType::i32, ReduceOp::sum, "evaluation");
    for (std::size_t i = 0; i < samples_; ++i) losses_[i] = std::bit_cast<float>(words_[i]);
  }
  const std::vector<float>& losses() const { return losses_; }
  std::int32_t rank(std::size_t sample) const { return words_[samples_ + sample]; }

 private:
  std::size_t samples_;
  std::vector<std::int32_t> words_;
  std::vector<float> losses_;
};

Evaluation summarize(const SampleResults& results, const BatchSource& source, std::span<const double> class_weights) {
  const std::vector<float>& losses = results.losses();
  const std::vector<std::int64_t>& subset = source.options().subset;
  std::int64_t correct = 0, correct_top5 = 0;
  double total_weight = 0;  // of the labels, added in the order of the samples
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const std::int64_t index = subset.empty() ? static_cast<std::int64_t>(i) : subset[i];
    total_weight +=
        class_weights.empty() ? 1.0 : class_weights[static_cast<std::size_t>(source.dataset().label(index))];
    const std::int32_t rank = results.rank(i);
    correct += rank == 0 ? 1 : 0;
    correct_top5 += rank >= 0 && rank < 5 ? 1 : 0;
  }
  const auto samples = static_cast<std::int64_t>(losses.size());
  std::vector<double> block_sums(static_cast<std::size_t>(kernels::sum_blocks(samples)));
  const double loss = kernels::reduce_kernels().sum(losses.data(), samples, block_sums.data(), 1);
  const auto count = static_cast<double>(samples);
  // As in training, a loss of nothing but labels of weight 0 is 0.
  return {.loss = total_weight > 0 ? loss / total_weight : 0,
          .accuracy = static_cast<double>(correct) / count,
          .top5 = static_cast<double>(correct_top5) / count,
          .samples = samples};
}

}  // namespace

Evaluation evaluate(Executable& executable, Loader& loader, Communicator& communicator,
                    std::span<const double> class_weights, bool averaged, const std::function<bool()>& stop) {
  const BatchSource& source = loader.source();
  const auto rows = static_cast<std::size_t>(source.rows());
  std::vector<float> losses(rows);
  std::vector<std::int32_t> ranks(rows);
  SampleResults results(source.samples());
  std::int64_t first = source.options().first_row;  // of this rank's rows, in the order of the split
  for (; loader.remaining() > 0; first += source.options().batch) {
    if (stop && communicator.agree(stop() ? 1 : 0, "evaluation") != 0) {
      loader.restart();
      return {};
    }
    const Batch& batch = loader.next();
    executable.evaluate(batch, losses, ranks, averaged);
    communicator.activity().note_progress();
    for (std::size_t row = 0; row < static_cast<std::size_t>(batch.valid); ++row) {
      results.set(first + static_cast<std::int64_t>(row), losses[row], ranks[row]);
    }
  }
  loader.restart();
  results.combine(communicator);
  return summarize(results, source, class_weights);
}

void evaluate_nothing(Communicator& communicator, std::int64_t samples) {
  SampleResults(samples).combine(communicator);
}

}  // namespace athanor
