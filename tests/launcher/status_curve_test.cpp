#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "launcher/supervisor/curve.h"
#include "support/temporary_folder.h"

namespace athanor {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kPlenty = 64 << 20;

std::string train_line(int step, const std::string& loss) {
  return R"({"kind":"train","step":)" + std::to_string(step) + R"(,"loss":)" + loss + "}\n";
}

class CurveOfFile : public ::testing::Test {
 protected:
  std::filesystem::path file() const { return folder_ / "metrics.jsonl"; }
  void append(const std::string& text) { std::ofstream(file(), std::ios::app) << text; }

  testing::TemporaryFolder folder_;
  Curve curve_;
};

TEST_F(CurveOfFile, GrowsWithTheFileAndWaitsForTheEndOfALine) {
  EXPECT_TRUE(curve_.read_on(file(), kPlenty));  // not there yet
  append(train_line(1, "2.5") + R"({"kind":"train","st)");
  EXPECT_TRUE(curve_.read_on(file(), kPlenty));
  EXPECT_EQ(curve_.to_json()["train"], Json::parse(R"({"step": [1], "loss": [2.5]})"));
  append(R"(ep":2,"loss":2.0})"
         "\n"
         R"({"kind":"eval","step":2,"split":"test","loss":1.5,"accuracy":0.5})"
         "\n");
  EXPECT_TRUE(curve_.read_on(file(), kPlenty));
  EXPECT_EQ(curve_.to_json()["train"], Json::parse(R"({"step": [1, 2], "loss": [2.5, 2.0]})"));
  EXPECT_EQ(curve_.to_json()["eval"], Json::parse(R"({"step": [2], "loss": [1.5], "accuracy": [0.5]})"));
}

TEST_F(CurveOfFile, AMillionStepsAreAtMostAThousandMeans) {
  std::string text;
  constexpr int kSteps = 100'000;
  for (int step = 1; step <= kSteps; ++step) text += train_line(step, std::to_string(step));
  append(text);
  while (!curve_.read_on(file(), 100'000)) {
  }
  const Json train = curve_.to_json()["train"];
  const auto steps = train["step"].get<std::vector<int>>();
  EXPECT_LE(steps.size(), Curve::kMostPoints);
  EXPECT_GT(steps.size(), Curve::kMostPoints / 3);
  EXPECT_EQ(steps.back(), kSteps);
  int before = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    EXPECT_DOUBLE_EQ(train["loss"][i].get<double>(), (before + 1 + steps[i]) / 2.0);
    before = steps[i];
  }
}

TEST_F(CurveOfFile, OfARunThatWentBackIsReadAgain) {
  append(train_line(1, "3") + train_line(2, "2") + train_line(3, "9"));
  curve_.read_on(file(), kPlenty);
  // As going on from a checkpoint does: another file in its place, which may have grown past the old length.
  std::ofstream(folder_ / "new") << train_line(1, "3") + train_line(2, "2") + train_line(3, "1") + train_line(4, "0.5");
  std::filesystem::rename(folder_ / "new", file());
  curve_.read_on(file(), kPlenty);
  EXPECT_EQ(curve_.to_json()["train"], Json::parse(R"({"step": [1, 2, 3, 4], "loss": [3.0, 2.0, 1.0, 0.5]})"));
}

TEST_F(CurveOfFile, PassesOverWhatIsNoMetric) {
  append("nonsense\n\n[1]\n{\"kind\":\"train\"}\n{\"kind\":7,\"step\":1}\n{\"kind\":\"train\",\"step\":\"x\"}\n" +
         train_line(5, "null") + std::string(200'000, 'x') + '\n' + train_line(6, "1.0"));
  EXPECT_TRUE(curve_.read_on(file(), kPlenty));
  EXPECT_EQ(curve_.to_json()["train"], Json::parse(R"({"step": [5, 6], "loss": [null, 1.0]})"));
}

TEST_F(CurveOfFile, AFileWithoutLinesIsReadInBoundedPieces) {
  append(std::string(300'000, 'x'));
  int looks = 0;
  while (!curve_.read_on(file(), 100'000)) ASSERT_LT(++looks, 100);
  append('\n' + train_line(1, "1.0"));
  while (!curve_.read_on(file(), 100'000)) ASSERT_LT(++looks, 100);
  EXPECT_EQ(curve_.to_json()["train"]["step"], Json::parse("[1]"));
}

TEST_F(CurveOfFile, ShowsTheSplitThatWasEvaluatedFirst) {
  for (const char* split : {"validation", "test"}) {
    append(R"({"kind":"eval","step":2,"split":")" + std::string(split) + R"(","loss":1.5,"accuracy":0.5})" + '\n');
  }
  curve_.read_on(file(), kPlenty);
  EXPECT_EQ(curve_.to_json()["eval"]["step"], Json::parse("[2]"));
}

}  // namespace
}  // namespace athanor
