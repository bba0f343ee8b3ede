#include "train/checkpoint_benchmark.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>

#include "backend/backend.h"
#include "base/error.h"
#include "io/checkpoint_file.h"
#include "io/durable_file.h"
#include "io/state_sources.h"
#include "train/session.h"
#include "train/step_benchmark.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_of(const std::function<void()>& work) {
  const Clock::time_point start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// A folder that goes away with everything in it.
class BenchFolder {
 public:
  explicit BenchFolder(const fs::path& parent) : path_(parent / fmt::format("athanor-bench-{}", getpid())) {
    std::error_code error;
    fs::create_directories(path_, error);
    if (error) throw StorageError("cannot make {}: {}; name another with --dir", path_.string(), error.message());
  }
  ~BenchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  BenchFolder(const BenchFolder&) = delete;
  BenchFolder& operator=(const BenchFolder&) = delete;
  fs::path operator/(const char* name) const { return path_ / name; }

 private:
  fs::path path_;
};

/// The recipe's state, in memory, without a run.
class State {
 public:
  explicit State(Recipe& recipe) : communicator_(make_self_communicator()) {
    const Hardware hardware = probe_hardware();
    const NamedSettings& set = recipe.data.set;
    const std::optional<DatasetInfo> described = describe_dataset(set.name, set.attributes);
    const DatasetInfo info = described ? *described : open_dataset(set.name, set.attributes, Split::train)->info();
    const std::int64_t samples = std::max<std::int64_t>(1, info.train_size - recipe.data.validation);
    const Sizing sizing = size_run(recipe, samples, hardware, *communicator_);
    plans_ = make_plans(recipe, model_of(recipe), info, sizing);
    ExecutableOptions wanted = executable_options(recipe, sizing, plans_, *communicator_);
    wanted.evaluation = nullptr;
    executable_ = backend_for(recipe.device).make_executable(wanted);
    initialize_state(*executable_, plans_.training, recipe.train.seed);
    snapshot_ = executable_->make_snapshot();
  }

  void capture() { executable_->capture(snapshot_.get()); }
  std::size_t bytes() const { return snapshot_->bytes(); }
  std::vector<TensorSource> sources() const { return state_sources(executable_->list_state(), *snapshot_); }

 private:
  std::unique_ptr<Communicator> communicator_;
  Plans plans_;
  std::unique_ptr<Executable> executable_;
  std::unique_ptr<StateSnapshot> snapshot_;
};

/// What `dd bs=4M conv=fsync` does.
void write_plainly(const fs::path& path, std::span<const std::byte> block, std::uint64_t bytes) {
  FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  const auto want = [&](bool good) {
    if (!good)
      throw StorageError("cannot write {}: {}; name another folder with --dir", path.string(), strerror(errno));
  };
  want(file.get() >= 0);
  while (bytes > 0) {
    const ssize_t written = write(file.get(), block.data(), std::min<std::uint64_t>(bytes, block.size()));
    want(written > 0);
    bytes -= static_cast<std::uint64_t>(written);
  }
  want(fsync(file.get()) == 0);
  want(file.close());
}

void read_plainly(const fs::path& path, std::span<std::byte> block) {
  SequentialFile file(path);
  while (file.read(block) > 0) continue;
}

/// The times of both, round by round.
struct Pairs {
  std::vector<double> ours, plain;

  MeasuredPair medians() const { return {spread_of(ours).median, spread_of(plain).median}; }
};

}  // namespace

CheckpointBenchmark run_checkpoint_benchmark(Recipe recipe, const CheckpointBenchmarkOptions& options) {
  State state(recipe);
  const BenchFolder folder(options.folder);
  const fs::path checkpoint = folder / "step-000000000.h5", plain = folder / "plain";
  CheckpointSources sources{.meta = {.recipe_text = resolved_text(recipe)}, .tensors = state.sources()};
  std::vector<std::byte> from(state.bytes(), std::byte{1}), to(state.bytes(), std::byte{2}), block(kSlabBytes);
  std::fill(block.begin(), block.end(), std::byte{3});
  state.capture();
  WrittenCheckpoint written = write_checkpoint(checkpoint, sources);

  Pairs stall, write, verify, read;
  for (int round = 0; round < options.rounds; ++round) {
    stall.ours.push_back(seconds_of([&] { state.capture(); }));
    stall.plain.push_back(seconds_of([&] { std::memcpy(to.data(), from.data(), from.size()); }));
    unlink(plain.c_str());  // both write a new file
    write.plain.push_back(seconds_of([&] { write_plainly(plain, block, written.bytes); }));
    unlink(checkpoint.c_str());
    written = write_checkpoint(checkpoint, sources);
    write.ours.push_back(written.write_s);
    verify.ours.push_back(written.verify_s);
    SequentialFile(checkpoint).drop_cache();
    read.ours.push_back(seconds_of([&] { read_checkpoint(checkpoint); }));
    SequentialFile(checkpoint).drop_cache();
    read.plain.push_back(seconds_of([&] { read_plainly(checkpoint, block); }));
  }
  verify.plain = read.plain;
  return {.recipe = recipe.name,
          .folder = options.folder.string(),
          .rounds = options.rounds,
          .tensors = static_cast<std::int64_t>(sources.tensors.size()),
          .state_bytes = state.bytes(),
          .file_bytes = written.bytes,
          .stall = stall.medians(),
          .write = write.medians(),
          .verify = verify.medians(),
          .read = read.medians()};
}

}  // namespace athanor
