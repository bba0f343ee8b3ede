#include "train/cut_metrics.h"

#include <gtest/gtest.h>

#include "train/folders.h"

namespace athanor {
namespace {

using testing::read_file;
using testing::TemporaryFolder;
using testing::write_file;

TEST(CutMetrics, KeepsTheLinesUpToAStepAndDropsHalfOnes) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "metrics.jsonl";
  const std::string kept =
      "{\"kind\":\"train\",\"step\":9}\n{\"kind\":\"eval\",\"step\":10}\n{\"kind\":\"train\",\"step\":10}\n";
  write_file(file, kept +
                       "{\"kind\":\"train\",\"step\":11}\n{\"kind\":\"checkpoint\",\"step\":8}\nnoise\n{\"kind\":"
                       "\"train\",\"step\":1");
  cut_metrics(file, 10);
  EXPECT_EQ(read_file(file), kept + "{\"kind\":\"checkpoint\",\"step\":8}\n");
  cut_metrics(file, 0);
  EXPECT_EQ(read_file(file), "");
}

TEST(CutMetrics, LeavesAFileThatIsNotThereAway) {
  const TemporaryFolder folder;
  cut_metrics(folder.path() / "metrics.jsonl", 5);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "metrics.jsonl"));
}

}  // namespace
}  // namespace athanor
