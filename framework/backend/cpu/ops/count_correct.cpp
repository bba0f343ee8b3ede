// count_correct on the CPU: the rank of each label's logit. A few thousand comparisons, so no vector code.
#include "backend/cpu/ops/support.h"

namespace athanor::cpu {
namespace {

/// Classes that stand before the label: larger logits, equal ones of a lower class, and NaN. A NaN label is last.
template <typename T>
std::int32_t rank_of(const T* logits, std::int64_t classes, std::int64_t label) {
  const auto own = static_cast<float>(logits[label]);
  if (own != own) return static_cast<std::int32_t>(classes);
  std::int32_t rank = 0;
  for (std::int64_t c = 0; c < classes; ++c) {
    const auto other = static_cast<float>(logits[c]);
    if (other > own || (other == own && c < label) || other != other) ++rank;
  }
  return rank;
}

/// counts [2]: labels with rank 0, and with rank below 5. ranks [N], or null; −1 where masked.
template <typename T>
void count_correct(const T* logits, const std::int32_t* labels, std::int64_t batch, std::int64_t classes, float* counts,
                   std::int32_t* ranks) {
  std::int64_t first = 0, first_five = 0;
  for (std::int64_t n = 0; n < batch; ++n) {
    const bool is_masked = labels[n] < 0;
    const std::int32_t rank = is_masked ? -1 : rank_of(logits + n * classes, classes, labels[n]);
    if (ranks != nullptr) ranks[n] = rank;
    if (is_masked) continue;
    first += rank < 1;
    first_five += rank < 5;
  }
  counts[0] = static_cast<float>(first);
  counts[1] = static_cast<float>(first_five);
}

template <typename T>
Step bind(const Binding& b) {
  const Shape& shape = b.input_value(0).shape;
  return [logits = b.input<T>(0), labels = b.input<std::int32_t>(1), batch = shape[0], classes = shape[1],
          counts = b.output<float>(0),
          ranks = b.output<std::int32_t>(1)] { count_correct(logits, labels, batch, classes, counts, ranks); };
}

Step prepare_count_correct(const Binding& b) {
  return b.input_value(0).dtype == DType::bf16 ? bind<BFloat16>(b) : bind<float>(b);
}

const RegisterCpuOp kCountCorrect{"count_correct", {plain_kernel("count_correct"), prepare_count_correct}};

}  // namespace
}  // namespace athanor::cpu
