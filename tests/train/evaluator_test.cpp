#include "train/evaluator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "train/tiny_session.h"

namespace athanor {
namespace {

using testing::kTinyTest;
using testing::TinySession;

bool same_bits(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].size() != b[i].size() || std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(float)) != 0) {
      return false;
    }
  }
  return true;
}

/// Gives `to` the weights and statistics of `from`: its averaged ones, if so asked.
void copy_weights(const Executable& from, Executable& to, bool averaged) {
  const std::vector<StateEntry> targets = to.list_state();
  std::vector<float> values;
  for (const StateEntry& entry : from.list_state()) {
    const bool is_weight = entry.kind == StateKind::parameter || entry.kind == StateKind::statistic;
    if (averaged ? entry.kind != StateKind::average : !is_weight) continue;
    values.resize(static_cast<std::size_t>(entry.shape.elements()));
    from.read_state(entry, values);
    for (const StateEntry& target : targets) {
      if (target.name == entry.name && target.kind != StateKind::average) to.write_state(target, values);
    }
  }
}

class EvaluatorOfLoss : public ::testing::TestWithParam<const char*> {};

/// 130 images: three batches of 48 over four shards leave 14 masked rows; one image at a time leaves none. Sums of 130
/// losses of two kernels' rounding: 1e-5 is 80 ulp.
TEST_P(EvaluatorOfLoss, BatchesThatDoNotDivideGiveTheMeanOverRealSamples) {
  const std::string loss = std::string("loss.name=") + GetParam();
  TinySession batches({loss}), single({loss, "eval.batch=1", "train.shards=1"});
  batches.take_steps(4);
  copy_weights(*batches.executable, *single.executable, false);
  ASSERT_EQ(batches.sizing.evaluation_rows, 48);
  ASSERT_EQ(single.sizing.evaluation_rows, 1);
  const auto loader = batches.test_loader(), one_by_one = single.test_loader();
  const Evaluation a = evaluate(*batches.executable, *loader, *batches.communicator, {}, false);
  const Evaluation b = evaluate(*single.executable, *one_by_one, *single.communicator, {}, false);
  EXPECT_EQ(a.samples, kTinyTest);
  EXPECT_EQ(b.samples, kTinyTest);
  EXPECT_EQ(a.accuracy, b.accuracy);
  EXPECT_EQ(a.top5, b.top5);
  EXPECT_GT(a.loss, 0);
  EXPECT_NEAR(a.loss, b.loss, 1e-5 * b.loss);
  const Evaluation again = evaluate(*batches.executable, *loader, *batches.communicator, {}, false);
  EXPECT_EQ(again.loss, a.loss) << "the loader starts again from the front";
}

INSTANTIATE_TEST_SUITE_P(Losses, EvaluatorOfLoss, ::testing::Values("cross_entropy", "mse", "bce_with_logits"),
                         [](const auto& info) { return std::string(info.param); });

/// PyTorch's CrossEntropyLoss(weight=…) over the whole split: Σ w[y] · loss / Σ w[y].
TEST(Evaluator, WeighsClassesAsPyTorchDoes) {
  constexpr std::size_t kClasses = 10;
  TinySession plain;
  std::vector<double> sums(kClasses), counts(kClasses);
  std::vector<float> losses(48);
  std::vector<std::int32_t> ranks(48);
  for (const auto loader = plain.test_loader(); loader->remaining() > 0;) {
    const Batch& batch = loader->next();
    plain.executable->evaluate(batch, losses, ranks, false);
    for (std::size_t row = 0; row < static_cast<std::size_t>(batch.valid); ++row) {
      sums[static_cast<std::size_t>(batch.labels[row])] += losses[row];
      counts[static_cast<std::size_t>(batch.labels[row])] += 1;
    }
  }
  const std::vector<double> weights{0.25, 1, 2, 0.5, 3, 1, 1, 0, 4, 1};
  double weighted = 0, total = 0;
  for (std::size_t k = 0; k < kClasses; ++k) {
    weighted += weights[k] * sums[k];
    total += weights[k] * counts[k];
  }

  TinySession session({"loss.name=cross_entropy", "loss.class_weights=[0.25, 1, 2, 0.5, 3, 1, 1, 0, 4, 1]"});
  const auto loader = session.test_loader();
  const Evaluation result = evaluate(*session.executable, *loader, *session.communicator, weights, false);
  EXPECT_EQ(result.samples, kTinyTest);
  EXPECT_NEAR(result.loss, weighted / total, 1e-6 * result.loss);  // 130 losses, each rounded to float
  EXPECT_GT(std::abs(weighted / total - weighted / kTinyTest), 0.01) << "the two means differ, or this tests nothing";
}

TEST(Evaluator, LeavesTheTrainingStateAlone) {
  TinySession session({"ema.decay=0.9"});
  session.take_steps(4);
  const auto before = session.state();
  const auto loader = session.test_loader();
  evaluate(*session.executable, *loader, *session.communicator, {}, false);
  evaluate(*session.executable, *loader, *session.communicator, {}, true);
  EXPECT_TRUE(same_bits(session.state(), before));
}

TEST(Evaluator, UsesTheAveragesWhereAsked) {
  TinySession session({"ema.decay=0.9"}), averages;
  session.take_steps(4);
  copy_weights(*session.executable, *averages.executable, true);
  const auto loader = session.test_loader(), averages_loader = averages.test_loader();
  const Evaluation averaged = evaluate(*session.executable, *loader, *session.communicator, {}, true);
  EXPECT_EQ(averaged.loss, evaluate(*averages.executable, *averages_loader, *averages.communicator, {}, false).loss);
  EXPECT_NE(averaged.loss, evaluate(*session.executable, *loader, *session.communicator, {}, false).loss);
}

/// What evaluation makes of the weights is kept until they change.
TEST(Evaluator, SeesEveryChangeOfTheWeights) {
  TinySession session, other;
  const auto loader = session.test_loader(), other_loader = other.test_loader();
  const auto loss = [&] { return evaluate(*session.executable, *loader, *session.communicator, {}, false).loss; };
  const double before = loss();
  session.take_steps(1);
  const double after = loss();
  EXPECT_NE(after, before);
  copy_weights(*session.executable, *other.executable, false);
  EXPECT_EQ(evaluate(*other.executable, *other_loader, *other.communicator, {}, false).loss, after);
  session.take_steps(1);
  EXPECT_NE(loss(), after);
  copy_weights(*other.executable, *session.executable, false);
  EXPECT_EQ(loss(), after);
}

TEST(Evaluator, GivesTheSameBitsHoweverManyShardsRunSideBySide) {
  TinySession one({}, 1), two({}, 2);
  const auto one_loader = one.test_loader(), two_loader = two.test_loader();
  EXPECT_EQ(evaluate(*one.executable, *one_loader, *one.communicator, {}, false).loss,
            evaluate(*two.executable, *two_loader, *two.communicator, {}, false).loss);
}

}  // namespace
}  // namespace athanor
