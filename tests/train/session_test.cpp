#include "train/session.h"

#include <gmock/gmock.h>

#include <regex>

#include "base/error.h"
#include "io/checkpoint_file.h"
#include "train/tiny_session.h"

namespace athanor {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::message_of;
using ::testing::Not;
using testing::TemporaryFolder;
using testing::tiny_recipe;
using testing::TinySession;

/// A megabyte, and what the writer of checkpoints takes in any case.
const std::size_t kLittle = (std::size_t{1} << 20) + checkpoint_buffer_bytes(0);

/// check_memory for the tiny network, on a machine with `available` bytes.
void check(std::size_t available, const std::vector<std::string>& overrides) {
  Recipe recipe = tiny_recipe(overrides);
  const auto communicator = make_self_communicator();
  Hardware hardware = probe_hardware();
  hardware.memory_available_bytes = available;
  const RunData data = open_data(recipe);
  Sizing sizing = size_run(recipe, data, hardware, *communicator);
  sizing.lanes = 2;
  const Plans plans = make_plans(recipe, model_of(recipe), data.train->info(), sizing);
  check_memory(recipe, model_of(recipe), data.train->info(), sizing, plans, hardware, *communicator);
}

std::string number_after(const std::string& text, const std::string& words) {
  std::smatch found;
  return std::regex_search(text, found, std::regex(words + "([0-9]+)")) ? found[1].str() : "";
}

TEST(Session, NamesTheLargestBatchThatFits) {
  const std::size_t available = kLittle;
  const std::string message = message_of<DeviceError>([&] { check(available, {"train.batch=200", "eval.batch=4"}); });
  EXPECT_THAT(message, AllOf(HasSubstr("train.batch"), HasSubstr("200 images need "), HasSubstr("may use 9.44 MB")));
  const std::string batch = number_after(message, "largest batch that fits is ");
  ASSERT_FALSE(batch.empty()) << message;
  EXPECT_NO_THROW(check(available, {"train.batch=" + batch, "eval.batch=4"}));
  const std::string next = std::to_string(std::stoi(batch) + 4);
  EXPECT_THROW(check(available, {"train.batch=" + next, "eval.batch=4"}), DeviceError);
}

TEST(Session, NamesASmallerEvaluationBatchWhereThatIsWhatDoesNotFit) {
  const std::size_t available = kLittle;
  const std::string message = message_of<DeviceError>([&] {
    check(available, {"train.batch=8", "eval.batch=100000"});
  });
  const std::string batch = number_after(message, "largest batch that fits is ");
  const std::string evaluation = number_after(message, "eval.batch=");
  ASSERT_FALSE(evaluation.empty()) << message;
  EXPECT_NO_THROW(check(available, {"train.batch=" + batch, "eval.batch=" + evaluation}));
}

TEST(Session, NamesRecomputationWhereThatIsEnough) {
  const std::size_t available = kLittle + (std::size_t{20} << 20);
  const auto with = [](const std::string& batch) {
    return std::vector<std::string>{"model={name: cifar_resnet, depth: 20}", "train.batch=" + batch, "eval.batch=4",
                                    "train.winograd=off"};
  };
  const std::string far_too_large = message_of<DeviceError>([&] { check(available, with("200")); });
  EXPECT_THAT(far_too_large, Not(HasSubstr("train.recompute")));
  const std::string batch = std::to_string(std::stoi(number_after(far_too_large, "largest batch that fits is ")) + 4);
  EXPECT_THAT(message_of<DeviceError>([&] { check(available, with(batch)); }), HasSubstr("set train.recompute=true"));
  std::vector<std::string> again = with(batch);
  again.push_back("train.recompute=true");
  EXPECT_NO_THROW(check(available, again));
}

TEST(Session, RefusesAugmentationsThatCanLeaveNothingOfAnImage) {
  const std::size_t plenty = std::size_t{1} << 32;
  EXPECT_THAT(message_of<UsageError>([&] { check(plenty, {"data.augment=[random_crop: {padding: 1000}]"}); }),
              HasSubstr("random_crop.padding is 1000, images are "));
  EXPECT_THAT(message_of<UsageError>([&] { check(plenty, {"data.augment=[cutout: {size: 100}]"}); }),
              HasSubstr("cutout.size is 100, images are "));
}

TEST(Session, CountsTheImagesThatAreHeldInMemory) {
  Recipe recipe = tiny_recipe({});
  const auto communicator = make_self_communicator();
  const RunData data = open_data(recipe);
  const Sizing sizing = size_run(recipe, data, probe_hardware(), *communicator);
  DatasetInfo info = data.train->info();
  const Plans plans = make_plans(recipe, model_of(recipe), info, sizing);
  ASSERT_FALSE(info.in_memory);
  const MemoryPlan drawn = plan_run_memory(recipe, info, sizing, plans, *communicator);
  EXPECT_GT(drawn.data, static_cast<std::size_t>(recipe.train.batch * info.image_bytes()));
  info.in_memory = true;
  const MemoryPlan held = plan_run_memory(recipe, info, sizing, plans, *communicator);
  EXPECT_EQ(held.data - drawn.data,
            static_cast<std::size_t>((info.train_size + info.test_size) * (info.image_bytes() + 1)));
  EXPECT_EQ(held.total() - held.device(), held.data + held.snapshot);
  EXPECT_EQ(held.snapshot, held.state + held.optimizer + checkpoint_buffer_bytes(0));
}

TEST(Session, SaysWhereNotEvenOneImageFits) {
  EXPECT_THAT(message_of<DeviceError>([] { check(1000, {}); }), HasSubstr("even one image a shard does not fit"));
}

TEST(Session, NamesTheLargestBatchThatTheDataAllow) {
  const std::string message = message_of<UsageError>([] { TinySession({"train.batch=400"}); });
  EXPECT_THAT(message, AllOf(HasSubstr("400"), HasSubstr("200 training images"), HasSubstr("works is 200")));
  EXPECT_NO_THROW(TinySession({"train.batch=200"}));
}

TEST(Session, AHoldOutLeavesFewerImagesToTrainOn) {
  TinySession session({"data.validation=50"});
  EXPECT_EQ(session.data.train_size(), 150);
  EXPECT_EQ(session.data.validation_subset.size(), 50u);
  EXPECT_EQ(session.sizing.steps_per_epoch, 150 / 32);
  EXPECT_THAT(message_of<UsageError>([] { TinySession({"data.validation=200"}); }), HasSubstr("at most 199"));
}

TEST(Session, MissingFilesAreDataErrorsWhateverElseIsWrong) {
  const TemporaryFolder folder;
  Recipe recipe = tiny_recipe({"data={name: mnist, path: " + folder.path().string() + "}", "train.batch=32"});
  EXPECT_THROW(OpeningData(recipe).train_size(), DataError);
}

/// How many shards run side by side is the machine's business: every bit of the state after some steps is the same.
TEST(Session, TrainsTheSameBitsHoweverManyShardsRunSideBySide) {
  TinySession one({}, 1), two({}, 2), three({}, 3);
  for (TinySession* session : {&one, &two, &three}) session->take_steps(8);
  EXPECT_EQ(one.state(), two.state());
  EXPECT_EQ(one.state(), three.state());
  TinySession fewer_steps({}, 2);
  fewer_steps.take_steps(7);
  EXPECT_NE(one.state(), fewer_steps.state());
}

TEST(Backend, AutoTakesWhatIsThere) {
  EXPECT_EQ(backend_for("cpu").name(), "cpu");
  EXPECT_EQ(backend_for("auto").name(), has_cuda() ? "cuda" : "cpu");
  EXPECT_THAT(backend_for("cpu").versions(), HasSubstr("oneDNN "));
  EXPECT_FALSE(backend_for("cpu").device_memory_bytes().has_value());
  EXPECT_EQ(backend_for("cpu").precision_problem("fp32"), "");
  for (const char* precision : {"tf32", "fp16"}) {
    EXPECT_THAT(backend_for("cpu").precision_problem(precision),
                AllOf(HasSubstr(precision), HasSubstr("device=cuda"), HasSubstr("train.precision=fp32")));
  }
  EXPECT_THROW(backend_for("tpu"), UsageError);
}

}  // namespace
}  // namespace athanor
