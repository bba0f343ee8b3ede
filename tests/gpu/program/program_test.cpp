// The program trains, evaluates, resumes and spreads over ranks with device=cuda as it does on CPUs: on the emulation
// of a GPU, which all ranks of the host share.
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <cstdlib>
#include <map>

#include "mpirun/job.h"

namespace athanor::mpirun_test {
namespace {

const std::string kMomentum = "{name: sgd, lr: 0.05, momentum: 0.9, weight_decay: 5e-4}";

/// Sums as the emulated GPU forms them: Winograd's rounding would be some times larger by the last step.
const Words kDirectCpu{"device=cpu", "train.winograd=off"};

class GpuProgram : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    setenv("ATHANOR_CUDA_PLUGIN", ATHANOR_EMULATED_CUDA, 1);
    // The kernels' shared memory is thread-local in the emulation.
    setenv("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=1000000", 1);
  }

  fs::path train(const std::string& name, const Words& overrides, int ranks = 0) {
    Words words{"train", "r.yaml", "--run", name};
    words.insert(words.end(), overrides.begin(), overrides.end());
    const Outcome outcome = run(home(), ranks, words);
    EXPECT_EQ(outcome.code, 0) << name << ": " << outcome.err;
    return home() / name;
  }
  void write_recipe(const std::string& text) { write_file(home() / "r.yaml", text); }
  fs::path home() const { return root_ / "home"; }

  void expect_same_bits(const fs::path& got, const fs::path& want) {
    EXPECT_EQ(summary_of(got).value("weights_sha256", ""), summary_of(want).value("weights_sha256", "?"));
    EXPECT_EQ(results_of(got), results_of(want));
  }
  /// What the runs' last steps lost.
  void expect_near(const fs::path& got, const fs::path& want, double tolerance) {
    const double loss = summary_of(want).value("loss", 0.0);
    EXPECT_GT(loss, 0);
    EXPECT_NEAR(summary_of(got).value("loss", -1.0), loss, tolerance * loss) << got << " and " << want;
  }

 private:
  testing::TemporaryFolder root_;
};

TEST_F(GpuProgram, TrainsAsOnACpu) {
  write_recipe(tiny_recipe(kMomentum));
  const fs::path gpu = train("gpu", {"device=cuda"});
  EXPECT_EQ(summary_of(gpu).value("backend", ""), "cuda");
  const fs::path cpu = train("cpu", kDirectCpu);
  expect_near(gpu, cpu, 1e-3);
  EXPECT_EQ(results_of(gpu).size(), results_of(cpu).size());
}

TEST_F(GpuProgram, EveryOptimizerTrainsAsOnACpu) {
  const std::map<std::string, std::string> optimizers{
      {"nesterov", "{name: sgd, lr: 0.05, momentum: 0.9, nesterov: true}"},
      {"clipped", "{name: sgd, lr: 0.05, momentum: 0.9, clip_norm: 0.1}"},
      {"adam", "{name: adam, lr: 1e-4}"},
      {"adamw", "{name: adamw, lr: 1e-4, weight_decay: 0.1}"},
      {"rmsprop", "{name: rmsprop, lr: 1e-4, momentum: 0.9}"},
      {"adagrad", "{name: adagrad, lr: 1e-3}"}};
  for (const auto& [name, optimizer] : optimizers) {
    write_recipe(tiny_recipe(optimizer, "ema: {decay: 0.9}\n"));
    const fs::path gpu = train(name, {"device=cuda"});
    // Those that divide by the gradient's size take the sign of what rounding has left.
    expect_near(gpu, train(name + "-cpu", kDirectCpu), 1e-2);
  }
}

TEST_F(GpuProgram, EveryKindOfNetworkTrainsAsOnACpu) {
  const std::map<std::string, std::string> models{
      {"synchronized", "{name: cifar_resnet, depth: 8, width: 4, synchronized_batch_norm: true}"},
      {"squeezed", "{name: se_cifar_resnet, depth: 8, width: 8}"},
      {"layers",
       "{input: [1, 16, 16], layers: [{conv: {channels: 6, kernel: 3, padding: 1, groups: 1}}, {group_norm: {groups: "
       "2}}, "
       "silu, {max_pool: 2}, {conv: {channels: 8, kernel: 3, padding: 1, groups: 2}}, gelu, {dropout: 0.2}, "
       "{avg_pool: 2}, flatten, {linear: 20}, layer_norm, tanh, {linear: 10}]}"}};
  for (const auto& [name, model] : models) {
    std::string recipe = tiny_recipe(kMomentum);
    const std::string from = "{name: cifar_resnet, depth: 8, width: 4, classes: 10}";
    recipe.replace(recipe.find(from), from.size(), model);
    write_recipe(recipe);
    const fs::path gpu = train(name, {"device=cuda"});
    expect_near(gpu, train(name + "-cpu", kDirectCpu), 2e-3);
    expect_same_bits(train(name + "-eager", {"device=cuda", "cuda.graph=false"}), gpu);
  }
}

TEST_F(GpuProgram, HasTheSameBitsLaunchByLaunchAndAgain) {
  write_recipe(tiny_recipe(kMomentum));
  const fs::path graph = train("graph", {"device=cuda"});
  expect_same_bits(train("again", {"device=cuda"}), graph);
  expect_same_bits(train("eager", {"device=cuda", "cuda.graph=false"}), graph);
}

class OnRanks : public GpuProgram, public ::testing::WithParamInterface<std::string> {};

TEST_P(OnRanks, HasTheBitsOfOneRank) {
  write_recipe(tiny_recipe(GetParam(), GetParam().find("adam") == std::string::npos ? "" : "ema: {decay: 0.9}\n"));
  const fs::path alone = train("alone", {"device=cuda"});
  for (const int ranks : {2, 4}) expect_same_bits(train(std::to_string(ranks), {"device=cuda"}, ranks), alone);
}
INSTANTIATE_TEST_SUITE_P(GpuProgram, OnRanks,
                         ::testing::Values(kMomentum, "{name: adam, lr: 1e-3}",
                                           "{name: sgd, lr: 0.05, momentum: 0.9, clip_norm: 0.1}"));

TEST_F(GpuProgram, ResumesWithTheSameBitsAndMovesBetweenDevices) {
  write_recipe(tiny_recipe(kMomentum));
  const Words half{"train.max_steps=8", "checkpoint.every_steps=8"}, whole{"train.max_steps=14"};
  const auto with = [](Words words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  const auto checkpoint_of = [](const fs::path& run) {
    fs::path newest;
    for (const auto& entry : fs::directory_iterator(run / "checkpoints")) {
      if (entry.path().extension() == ".h5" && entry.path() > newest) newest = entry.path();
    }
    return newest.string();
  };
  const fs::path straight = train("straight", with(whole, {"device=cuda"}));
  const fs::path on_gpu = train("gpu-8", with(half, {"device=cuda"}));
  const fs::path on_cpu = train("cpu-8", with(half, {"device=cpu"}));
  const fs::path resumed = train("resumed", with(whole, {"device=cuda", "--resume", checkpoint_of(on_gpu)}));
  EXPECT_EQ(summary_of(resumed).value("weights_sha256", ""), summary_of(straight).value("weights_sha256", "?"));
  expect_near(
      train("to-gpu", with(whole, {"device=cuda", "train.deterministic=false", "--resume", checkpoint_of(on_cpu)})),
      straight, 1e-2);
  expect_near(
      train("to-cpu", with(whole, {"device=cpu", "train.deterministic=false", "--resume", checkpoint_of(on_gpu)})),
      straight, 1e-2);
}

TEST_F(GpuProgram, StopsOnRequestAndGoesOnWithTheSameBits) {
  write_recipe(tiny_recipe(kMomentum));
  const Words words{"train", "r.yaml", "--run", "stopped", "device=cuda", "train.epochs=4"};
  for (const int ranks : {0, 2}) {
    const std::string straight = "straight" + std::to_string(ranks);
    fs::remove_all(home() / "stopped");
    Job job(home(), ranks, words);
    ASSERT_TRUE(job.wait_until([&] { return steps_of(home() / "stopped") >= 3; })) << job.err();
    kill(ranks == 0 ? job.pid() : job.pid_of_rank(1), SIGUSR2);
    EXPECT_EQ(job.wait().code, 75) << job.err();
    EXPECT_EQ(run(home(), ranks, words).code, 0);
    expect_same_bits(home() / "stopped", train(straight, {"device=cuda", "train.epochs=4"}));
  }
}

TEST_F(GpuProgram, BadNumbersEndARunAsOnACpu) {
  write_recipe(tiny_recipe("{name: sgd, lr: 1e20}"));
  for (const std::string device : {"cpu", "cuda"}) {
    const Outcome outcome = run(home(), 0, {"train", "r.yaml", "--run", device, "device=" + device});
    EXPECT_EQ(outcome.code, 7) << device << ": " << outcome.err;
    EXPECT_NE(outcome.err.find("step"), std::string::npos) << device << ": " << outcome.err;
  }
}

TEST_F(GpuProgram, TrainsInEveryPrecision) {
  write_recipe(tiny_recipe(kMomentum));
  const fs::path want = train("fp32", {"device=cuda"});
  for (const std::string precision : {"tf32", "bf16", "fp16"}) {
    expect_near(train(precision, {"device=cuda", "train.precision=" + precision}), want, 0.1);
  }
}

}  // namespace
}  // namespace athanor::mpirun_test
