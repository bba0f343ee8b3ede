#include "io/checkpoint_writer.h"

#include <gmock/gmock.h>

#include <future>

#include "tests/io/sample.h"

namespace athanor::test {
namespace {

using ::testing::HasSubstr;

/// One tensor, which waits for `gate` before it can be read.
CheckpointSources gated(const std::shared_future<void>& gate) {
  CheckpointSources sources;
  sources.meta.step = 5;
  sources.tensors = {{"parameters", "w", {3}, [gate](std::span<float> values) {
                        gate.wait();
                        std::fill(values.begin(), values.end(), 2.0f);
                      }}};
  return sources;
}

TEST(CheckpointWriter, WritesWhileItsCallerGoesOn) {
  const TemporaryFolder folder;
  std::promise<void> gate;
  bool pruned = false;
  CheckpointWriter writer;
  EXPECT_FALSE(writer.busy());
  writer.start(folder / "a.h5", 5, gated(gate.get_future().share()), [&] {
    verify_checkpoint(folder / "a.h5");
    pruned = true;
  });
  EXPECT_TRUE(writer.busy());
  EXPECT_FALSE(writer.take_outcome());
  gate.set_value();
  writer.wait();
  EXPECT_FALSE(writer.busy());
  const auto outcome = writer.take_outcome();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->error + outcome->after_error, "");
  EXPECT_EQ(outcome->step, 5);
  EXPECT_EQ(outcome->written.bytes, std::filesystem::file_size(outcome->path));
  EXPECT_TRUE(pruned);
  EXPECT_FALSE(writer.take_outcome());
  EXPECT_EQ(read_checkpoint(folder / "a.h5").tensors[0].values, std::vector<float>(3, 2.0f));
}

TEST(CheckpointWriter, AFailureIsTheOutcomeAndTheNextWriteWorks) {
  const TemporaryFolder folder;
  std::promise<void> gate;
  gate.set_value();
  const std::shared_future<void> open = gate.get_future().share();
  bool after_failure = false;
  CheckpointWriter writer;
  writer.start(folder / "missing" / "a.h5", 1, gated(open), [&] { after_failure = true; });
  writer.wait();
  writer.start(folder / "b.h5", 2, gated(open), [] { throw StorageError("old one stays"); });
  writer.wait();
  const auto first = writer.take_outcome(), second = writer.take_outcome();
  ASSERT_TRUE(first && second);
  EXPECT_THAT(first->error, HasSubstr("create the folder"));
  EXPECT_FALSE(after_failure);
  EXPECT_EQ(second->error, "");
  EXPECT_EQ(second->after_error, "old one stays");
}

TEST(CheckpointWriter, GoingAwayFinishesTheFile) {
  const TemporaryFolder folder;
  std::promise<void> gate;
  {
    CheckpointWriter writer;
    writer.start(folder / "a.h5", 5, gated(gate.get_future().share()), {});
    gate.set_value();
  }
  EXPECT_NO_THROW(verify_checkpoint(folder / "a.h5"));
}

}  // namespace
}  // namespace athanor::test
