// The deepest network that we name, for real: 1,202 layers, one step at batch 16, measured as the kernel measured it.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace athanor {
namespace {

namespace fs = std::filesystem;

/// Runs the program with its output in `folder`/out; returns its exit status and peak resident bytes.
std::pair<int, std::size_t> run_program(const fs::path& folder, std::vector<std::string> arguments) {
  const pid_t child = fork();
  if (child == 0) {
    if (freopen((folder / "out").c_str(), "w", stdout) == nullptr || dup2(1, 2) < 0) _exit(127);
    std::vector<char*> argv{const_cast<char*>(ATHANOR_PROGRAM)};
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    execv(ATHANOR_PROGRAM, argv.data());
    _exit(127);
  }
  int status = 0;
  rusage usage{};
  wait4(child, &status, 0, &usage);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, static_cast<std::size_t>(usage.ru_maxrss) * 1024};
}

TEST(ResNet1202, TakesAStepAtBatch16InTwoGigabytes) {
  const fs::path folder = fs::temp_directory_path() / ("athanor-1202-" + std::to_string(getpid()));
  fs::create_directories(folder);
  std::ofstream(folder / "deep.yaml") << R"(
data: {name: glyphs, train_size: 64, test_size: 16, channels: 3, side: 32}
model: {name: cifar_resnet, depth: 1202}
train: {epochs: 1, batch: 16, shards: 1, shard_threads: 2}
optimizer: {name: sgd, lr: 1e30, momentum: 0.9}
eval: {batch: 16}
)";
  const auto [status, peak_bytes] =
      run_program(folder, {"train", (folder / "deep.yaml").string(), "--run", (folder / "run").string()});
  // The learning rate ends the run after its first steps. The memory for copies of weights and momentum, which a run
  // has ready for its checkpoints, is not the step's.
  constexpr std::size_t kParameters = 19'424'026, kCopies = 2 * kParameters * sizeof(float);
  std::ifstream printed(folder / "out");
  EXPECT_EQ(status, 7) << std::string(std::istreambuf_iterator<char>(printed), {});
  std::printf("ResNet-1202, batch 16: peak %.2f GB\n", static_cast<double>(peak_bytes) * 1e-9);
  EXPECT_LE(peak_bytes - kCopies, std::size_t{2} * 1000 * 1000 * 1000);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace athanor
