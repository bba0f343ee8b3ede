// Which algorithm a convolution gets, by times that the tests make up, and who else gets the same.
#include "backend/cpu/convolution_choices.h"

#include <gmock/gmock.h>

#include <fstream>

#include "backend/cpu/convolution_candidates.h"
#include "backend/cpu/planner.h"
#include "base/error.h"
#include "base/text_file.h"
#include "graph/builder.h"
#include "graph/plan.h"
#include "support/temporary_folder.h"

namespace athanor::cpu {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Convolution small_convolution() {
  return {.x = {2, 32, 12, 12},
          .weight = {32, 32, 3, 3},
          .y = {2, 32, 12, 12},
          .stride = {1, 1},
          .padding = {1, 1},
          .dilation = {1, 1}};
}

/// The first takes 1 s, the others so many.
TimeCandidates others_take(double seconds) {
  return [seconds](std::span<const ProductCandidate> candidates, int) {
    std::vector<double> times(candidates.size(), seconds);
    times[0] = 1;
    return times;
  };
}

std::vector<double> must_not_measure(std::span<const ProductCandidate>, int) {
  throw std::logic_error("nothing is left to measure");
}

std::string algorithm_by(ConvolutionChoices& choices) {
  return choices.choose(small_convolution())->algorithm;
}

class ConvolutionChoicesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (planner_candidates(small_convolution()).size() < 2) GTEST_SKIP() << "no Winograd on this processor";
  }
  fs::path only_file() const {
    fs::path found;
    for (const auto& entry : fs::directory_iterator(folder_.path())) found = entry.path();
    return found;
  }

  testing::TemporaryFolder folder_;
};

TEST_F(ConvolutionChoicesTest, AnotherAlgorithmMustBeFivePercentFaster) {
  const testing::TemporaryFolder other;
  ConvolutionChoices hardly(folder_.text(), others_take(0.96)), clearly(other.text(), others_take(0.94));
  EXPECT_EQ(algorithm_by(hardly), "direct");
  EXPECT_EQ(algorithm_by(clearly), "winograd");
}

TEST_F(ConvolutionChoicesTest, ItsLayoutsOfActivationsAreThoseOfTheRule) {
  const auto by_rule = choose_convolution(small_convolution());
  for (const ProductCandidate& candidate : planner_candidates(small_convolution())) {
    EXPECT_EQ(candidate.x_layout, by_rule->x_layout) << candidate.implementation;
    EXPECT_EQ(candidate.y_layout, by_rule->y_layout) << candidate.implementation;
  }
}

TEST_F(ConvolutionChoicesTest, OnlyThreeByThreeWindowsThatMoveByOneHaveAChoice) {
  const auto count = [](const auto& change) {
    Convolution other = small_convolution();
    change(other);
    return planner_candidates(other).size();
  };
  EXPECT_EQ(count([](Convolution& c) { c.y = {2, 32, 6, 6}, c.stride = {2, 2}; }), 1u);
  EXPECT_EQ(count([](Convolution& c) { c.weight = {32, 32, 1, 1}, c.padding = {0, 0}; }), 1u);
  EXPECT_EQ(count([](Convolution& c) { c.padding = c.dilation = {2, 2}; }), 1u);
  EXPECT_EQ(count([](Convolution& c) { c.weight = {32, 16, 3, 3}, c.groups = 2; }), 1u);
}

TEST_F(ConvolutionChoicesTest, AnotherProcessTakesWhatTheFileHolds) {
  ConvolutionChoices first(folder_.text(), others_take(0.5));
  EXPECT_EQ(algorithm_by(first), "winograd");
  ConvolutionChoices second(folder_.text(), must_not_measure);
  EXPECT_EQ(algorithm_by(second), "winograd");
  EXPECT_EQ(second.text(), first.text());
}

TEST_F(ConvolutionChoicesTest, WhoMeasuredAtTheSameTimeTakesWhatWasWrittenFirst) {
  ConvolutionChoices late(folder_.text(), [&](std::span<const ProductCandidate> candidates, int threads) {
    ConvolutionChoices early(folder_.text(), others_take(2));
    EXPECT_EQ(algorithm_by(early), "direct");
    return others_take(0.5)(candidates, threads);
  });
  EXPECT_EQ(algorithm_by(late), "direct");
}

TEST_F(ConvolutionChoicesTest, ADamagedFileIsMeasuredAgain) {
  ConvolutionChoices(folder_.text(), others_take(0.5)).choose(small_convolution());
  const std::string whole = read_text(only_file());
  const std::string key = small_convolution().key();
  for (const std::string& damaged :
       {std::string(), std::string("nonsense"), whole.substr(0, whole.size() / 2), "\x01" + whole,
        whole.substr(0, whole.find('\n') + 1) + key + "\tno such algorithm\t\n"}) {
    std::ofstream(only_file(), std::ios::binary) << damaged;
    ConvolutionChoices other(folder_.text(), others_take(2));
    EXPECT_EQ(algorithm_by(other), "direct") << damaged;
    ConvolutionChoices next(folder_.text(), must_not_measure);
    EXPECT_EQ(algorithm_by(next), "direct") << damaged;
  }
}

TEST_F(ConvolutionChoicesTest, ThoseOfAnotherRankAreTaken) {
  const testing::TemporaryFolder other;
  ConvolutionChoices first(other.text(), others_take(0.5)), second(folder_.text(), must_not_measure);
  EXPECT_EQ(algorithm_by(first), "winograd");
  second.take(first.text());
  EXPECT_EQ(algorithm_by(second), "winograd");
  EXPECT_EQ(second.text(), first.text());
}

TEST_F(ConvolutionChoicesTest, ThoseForAnotherPlaceAreLeftAlone) {
  const testing::TemporaryFolder other;
  ConvolutionChoices first(other.text(), others_take(0.5)), second(folder_.text(), others_take(2));
  EXPECT_EQ(algorithm_by(first), "winograd");
  second.take("athanor convolutions 1: elsewhere" + first.text().substr(first.text().find('\n')));
  EXPECT_EQ(algorithm_by(second), "direct");
}

// Each start would else choose anew, and might give other bits.
TEST_F(ConvolutionChoicesTest, WhereNothingCanBeKeptNothingIsMeasured) {
  std::ofstream(folder_ / "a file") << "in the way";
  for (const std::string& nowhere : {std::string(), (folder_ / "a file" / "folder").string()}) {
    ConvolutionChoices choices(nowhere, others_take(2));
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(algorithm_by(choices), "winograd") << nowhere;
    EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("ATHANOR_CACHE"));
  }
}

TEST_F(ConvolutionChoicesTest, ALargeBatchIsTimedByAPartOfIt) {
  Convolution large = small_convolution();
  large.x = large.y = {4096, 32, 12, 12};
  ConvolutionChoices choices(folder_.text(), [&](std::span<const ProductCandidate> candidates, int threads) {
    for (const ProductCandidate& each : candidates)
      EXPECT_LT(each.x_bytes, std::size_t{1} << 25) << each.implementation;
    return others_take(2)(candidates, threads);
  });
  const auto by_rule = planner_candidates(large).front();
  EXPECT_EQ(name_of(choices.choose(large).value()), name_of(by_rule));
}

TEST_F(ConvolutionChoicesTest, WhatWasTakenAndCannotRunHereIsRefused) {
  ConvolutionChoices choices("", must_not_measure);
  choices.take(choices.text() + small_convolution().key() + "\twinograd athanor:winograd:avx1024\n");
  try {
    choices.choose(small_convolution());
    FAIL() << "it was accepted";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("winograd athanor:winograd:avx1024"));
    EXPECT_THAT(error.what(), HasSubstr("train.winograd=off"));
  }
}

TEST_F(ConvolutionChoicesTest, TheFileSaysWhereItHoldsAndWhatWasMeasured) {
  ConvolutionChoices choices(folder_.text(), others_take(0.5));
  choices.choose(small_convolution());
  EXPECT_THAT(only_file().filename().string(), StartsWith("convolutions_"));
  EXPECT_THAT(read_text(only_file()), HasSubstr("1000000.0 us, "));
  EXPECT_THAT(choices.text(), Not(HasSubstr(" us")));
}

TEST(ConvolutionTiming, ALargeBatchIsCut) {
  Convolution large = small_convolution();
  EXPECT_EQ(cut_for_timing(large).key(), large.key());
  large.x[0] = large.y[0] = 1 << 20;
  const Convolution cut = cut_for_timing(large);
  EXPECT_LT(cut.x[0], 1 << 11);
  EXPECT_GT(cut.x[0], 1 << 8);
  EXPECT_EQ(cut.x[0], cut.y[0]);
}

TEST(ConvolutionTiming, EveryCandidateTakesSomeTime) {
  const std::vector<ProductCandidate> candidates = planner_candidates(small_convolution());
  const std::vector<double> seconds = time_candidates(candidates, 1);
  ASSERT_EQ(seconds.size(), candidates.size());
  for (const double each : seconds) EXPECT_GT(each, 0);
}

Graph convolution_graph() {
  Graph graph;
  Builder builder(graph);
  const ValueId x = builder.input("images", small_convolution().x, DType::f32);
  const ValueId weight = builder.input("weight", small_convolution().weight, DType::f32);
  const Scope scope(builder, "conv1");
  const std::vector<std::int64_t> one{1, 1};
  const ValueId y = builder.add1("conv2d", {x, weight},
                                 {{"stride", one},
                                  {"padding", one},
                                  {"dilation", one},
                                  {"groups", std::int64_t{1}},
                                  {"activation", std::string("none")}});
  graph.outputs = {builder.add1("flatten", {y})};
  return graph;
}

TEST_F(ConvolutionChoicesTest, APlanMadeTwiceIsTheSame) {
  const auto plan_with = [&](TimeCandidates time) {
    ConvolutionChoices choices(folder_.text(), std::move(time));
    CpuPlanner planner(1, &choices);
    return make_plan(convolution_graph(), planner, 1, 1).fingerprint();
  };
  CpuPlanner by_rule(1);
  const std::string measured = plan_with(others_take(0.5));
  EXPECT_EQ(plan_with(others_take(2)), measured);
  EXPECT_NE(make_plan(convolution_graph(), by_rule, 1, 1).fingerprint(), measured);
}

}  // namespace
}  // namespace athanor::cpu
