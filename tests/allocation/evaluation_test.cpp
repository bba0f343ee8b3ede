// Evaluation allocates when it begins, nothing for each batch: the executable nothing at all, the loop round it the
// same however many batches there are.
#include <gtest/gtest.h>

#include "allocation/counter.h"
#include "train/evaluator.h"
#include "train/tiny_session.h"

namespace athanor {
namespace {

using testing::AllocationCount;
using testing::TinySession;

TEST(Evaluation, OfABatchAllocatesNothingOfOurs) {
  if (!testing::can_count_allocations()) GTEST_SKIP() << "the sanitizer brings an allocator of its own";
  TinySession session({"ema.decay=0.9"}, 2);
  const auto loader = session.test_loader();
  const Batch& batch = loader->next();
  std::vector<float> losses(static_cast<std::size_t>(batch.rows));
  std::vector<std::int32_t> ranks(losses.size());
  for (const bool averaged : {false, true}) {
    const auto evaluate = [&] { session.executable->evaluate(batch, losses, ranks, averaged); };
    for (int k = 0; k < 2; ++k) evaluate();
    const AllocationCount first = testing::allocations_during(evaluate);
    EXPECT_EQ(first.ours, 0);
    EXPECT_EQ(testing::allocations_during(evaluate), first);
  }
}

TEST(Evaluation, AllocatesTheSameHoweverManyBatchesThereAre) {
  if (!testing::can_count_allocations()) GTEST_SKIP() << "the sanitizer brings an allocator of its own";
  const auto ours = [](const std::string& batch) {
    TinySession session({"eval.batch=" + batch});
    const auto loader = session.test_loader();
    const auto round = [&] { evaluate(*session.executable, *loader, *session.communicator, {}, false); };
    for (int k = 0; k < 3; ++k) round();
    return testing::allocations_during(round).ours;
  };
  const long of_3_batches = ours("48"), of_33 = ours("4");
  EXPECT_GT(of_3_batches, 0);
  EXPECT_EQ(of_3_batches, of_33);
}

}  // namespace
}  // namespace athanor
