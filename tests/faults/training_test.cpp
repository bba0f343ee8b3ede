// A whole run, killed or failed at each system call of its checkpoints, and started again: it ends in the bits of the
// run that nothing happened to.
#include <gmock/gmock.h>
#include <signal.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "faults/saver.h"
#include "support/temporary_folder.h"

namespace athanor::faults {
namespace {

using testing::TemporaryFolder;

constexpr const char* kRecipe = R"(name: tiny
data: {name: glyphs, train_size: 96, test_size: 20, augment: [{random_crop: {padding: 2}}]}
model: {name: alchemy_net, classes: 10}
train: {epochs: 2, batch: 32, shards: 2, shard_threads: 1}
optimizer: {name: adam, lr: 0.001}
ema: {decay: 0.9}
eval: {batch: 20}
checkpoint: {every_steps: 2, keep: 1, best: false}
)";

class TinyRun {
 public:
  TinyRun() { std::ofstream(folder_ / "r.yaml") << kRecipe; }

  int start(const FaultSpec& fault, const std::filesystem::path& trace = {}) const {
    const std::string recipe = (folder_ / "r.yaml").string();
    return run_under_shim({ATHANOR_PROGRAM, "train", recipe, "--run", path().string()}, path() / "checkpoints", fault,
                          trace);
  }
  std::filesystem::path path() const { return folder_ / "run"; }
  std::string weights() const {
    std::ifstream file(path() / "summary.json");
    return nlohmann::json::parse(file).at("weights_sha256");
  }

 private:
  TemporaryFolder folder_;
};

struct WholeRun {
  int calls = 0;
  std::string weights;
};

const WholeRun& whole_run() {
  static const WholeRun whole = [] {
    const TemporaryFolder traces;
    const TinyRun run;
    if (run.start({}, traces / "trace") != 0) throw std::runtime_error("the run failed");
    return WholeRun{count_calls(read_trace(traces / "trace")), run.weights()};
  }();
  return whole;
}

class FaultyRun : public ::testing::TestWithParam<const char*> {};

TEST_P(FaultyRun, EndsInTheSameBits) {
  const std::string kind = GetParam();
  const bool is_fatal = kind == "kill" || kind == "torn";
  ASSERT_GT(whole_run().calls, 25);  // three checkpoints
  for (int k = 1; k <= whole_run().calls; ++k) {
    SCOPED_TRACE(kind + " at call " + std::to_string(k) + " of " + std::to_string(whole_run().calls));
    const TinyRun run;
    const int code = run.start({kind, k});
    // A failed save is no failed run; only a folder that takes nothing, before step 0, and the last save are.
    ASSERT_TRUE(is_fatal ? code == -SIGKILL : code == 0 || code == 4) << code;
    ASSERT_EQ(run.start({}), 0);
    ASSERT_EQ(run.weights(), whole_run().weights);
  }
}

INSTANTIATE_TEST_SUITE_P(, FaultyRun, ::testing::Values("kill", "torn", "enospc", "eio", "short"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace athanor::faults
