// The marker of a C++ program's run; that of the program is in tests/launcher.
#include "train/finished_marker.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>

#include "train/tiny_run.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;

/// Sets the variable while it lives.
class Marker {
 public:
  explicit Marker(fs::path path) : path_(std::move(path)) { setenv(kFinishedMarkerVariable, path_.c_str(), 1); }
  ~Marker() { unsetenv(kFinishedMarkerVariable); }
  bool is_there() const { return fs::exists(path_); }

 private:
  fs::path path_;
};

TEST(FinishedMarker, IsLeftByARunOnRanksOfItsOwnOnceItIsDone) {
  const testing::TemporaryFolder root;
  const Marker marker(root / "done");
  testing::train_tiny(root / "run");
  EXPECT_TRUE(marker.is_there());
}

TEST(FinishedMarker, IsNotLeftByARunThatWasStopped) {
  const testing::TemporaryFolder root;
  const Marker marker(root / "done");
  TrainOptions options;
  options.run = root / "run";
  options.quiet = true;
  options.after_step = [](std::int64_t step) {
    if (step == 2) std::raise(SIGUSR2);
  };
  EXPECT_EQ(train(testing::tiny_recipe(), options).status, "preempted");
  EXPECT_FALSE(marker.is_there());
}

TEST(FinishedMarker, IsTheCallersWhereItBringsTheRanks) {
  const testing::TemporaryFolder root;
  const Marker marker(root / "done");
  const auto alone = make_self_communicator();
  TrainOptions options;
  options.communicator = alone.get();
  options.run = root / "run";
  options.quiet = true;
  train(testing::tiny_recipe(), options);
  EXPECT_FALSE(marker.is_there());
  leave_finished_marker();
  EXPECT_TRUE(marker.is_there());
}

TEST(FinishedMarker, ThatCannotBeMadeIsSaid) {
  const testing::TemporaryFolder root;
  const Marker marker(root / "no-such-folder" / "done");
  EXPECT_THROW(testing::train_tiny(root / "run"), StorageError);
}

}  // namespace
}  // namespace athanor
