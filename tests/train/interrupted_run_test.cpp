// Runs that end before their time: on a signal, on an error, in their middle.
#include <gmock/gmock.h>
#include <signal.h>

#include "base/error.h"
#include "train/tiny_run.h"
#include "train/tripwire.h"

namespace athanor {
namespace {

using ::testing::HasSubstr;
using testing::kTinySteps;
using testing::kTinyTest;
using testing::message_of;
using testing::metrics_of;
using testing::read_file;
using testing::TemporaryFolder;
using testing::train_tiny;
using testing::Tripwire;
using testing::tripwire;

/// Sets the wire for one test.
class WithTripwire {
 public:
  explicit WithTripwire(Tripwire wire) { tripwire() = std::move(wire); }
  ~WithTripwire() { tripwire() = {}; }
};

/// The loader reads two batches of 48 ahead, so that the last test image is first read in the evaluation after epoch 1.
bool is_in_first_evaluation(Split split, std::int64_t index) {
  return split == Split::test && index == kTinyTest - 1;
}

TEST(InterruptedRun, EndsAfterTheWorkInHandAndGoesOnNextTime) {
  const TemporaryFolder folder;
  {
    const WithTripwire wire([](Split split, std::int64_t index) {
      if (is_in_first_evaluation(split, index)) raise(SIGINT);
    });
    const Summary summary = train_tiny(folder.path(), {"data.name=tripwire"});
    EXPECT_EQ(summary.status, "preempted");
    EXPECT_EQ(summary.steps, kTinySteps);
    EXPECT_EQ(summary.epochs, 1);
    EXPECT_FALSE(summary.weights_sha256.empty());
  }
  EXPECT_EQ(nlohmann::json::parse(read_file(folder.path() / "summary.json")).at("status"), "preempted");
  EXPECT_EQ(metrics_of(folder.path(), "train").size(), kTinySteps);
  // The loader reads ahead, so the request may come while the evaluation runs (it is then cut short) or just after it.
  EXPECT_LE(metrics_of(folder.path(), "eval").size(), 1u);
  EXPECT_THAT(read_file(folder.path() / "log.txt"), HasSubstr("SIGINT received: stopped after step 6 of 12"));

  EXPECT_EQ(train_tiny(folder.path(), {"data.name=tripwire"}).status, "done");
  EXPECT_EQ(metrics_of(folder.path(), "train").size(), 2 * kTinySteps);
  EXPECT_EQ(metrics_of(folder.path(), "eval").size(), 2u) << "the one that was cut short is made up for";
}

TEST(InterruptedRun, AFolderThatWasRemovedAndMadeAnewIsARunsAgain) {
  const TemporaryFolder folder;
  {
    const WithTripwire wire([&](Split split, std::int64_t index) {
      if (!is_in_first_evaluation(split, index)) return;
      std::filesystem::remove_all(folder.path());
      std::filesystem::create_directories(folder.path() / "checkpoints");
      raise(SIGINT);
    });
    EXPECT_EQ(train_tiny(folder.path(), {"data.name=tripwire"}).status, "preempted");
  }
  EXPECT_EQ(train_tiny(folder.path(), {"data.name=tripwire"}).status, "done");
}

TEST(InterruptedRun, ARequestInTheLastEvaluationChangesNothing) {
  const TemporaryFolder folder;
  const WithTripwire wire([](Split split, std::int64_t index) {
    if (is_in_first_evaluation(split, index)) raise(SIGTERM);
  });
  const Summary summary = train_tiny(folder.path(), {"data.name=tripwire", "train.epochs=1"});
  EXPECT_EQ(summary.status, "done");
  EXPECT_EQ(summary.steps, kTinySteps);
}

TEST(InterruptedRun, SaysWhyItFailed) {
  const TemporaryFolder folder;
  const WithTripwire wire([](Split split, std::int64_t index) {
    if (is_in_first_evaluation(split, index)) throw DataError("image {} is torn", index);
  });
  EXPECT_EQ(message_of<DataError>([&] { train_tiny(folder.path(), {"data.name=tripwire"}); }), "image 129 is torn");
  const auto json = nlohmann::json::parse(read_file(folder.path() / "summary.json"));
  EXPECT_EQ(json.at("status"), "failed");
  EXPECT_EQ(json.at("error"), "image 129 is torn");
  EXPECT_EQ(json.at("steps"), kTinySteps);
  EXPECT_GT(json.at("images_per_s"), 0);
  EXPECT_THAT(read_file(folder.path() / "log.txt"), HasSubstr("image 129 is torn"));
}

}  // namespace
}  // namespace athanor
