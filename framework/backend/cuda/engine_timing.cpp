#include "backend/cuda/engine_timing.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <span>

#include "base/error.h"

namespace athanor::cuda {
namespace {

constexpr std::size_t kMaxCandidates = 16;
constexpr double kBudgetSeconds = 0.100;
/// Making an engine may compile it, so what is spent on a spec has a bound too.
constexpr double kMaxWallSeconds = 0.8;
constexpr int kMaxRuns = 4;
/// Runs of one replay: what the host takes to launch a short kernel must not be what is timed.
constexpr int kRunsOfReplay = 8;
/// Longer ones hide the host's part themselves.
constexpr double kShortSeconds = 100e-6;
constexpr std::size_t kRandomBytes = std::size_t{1} << 20;
constexpr std::size_t kTensorAlignment = 512;

DType type_of(const ProductSpec& spec) {
  return std::visit([](const auto& s) { return s.type; }, spec);
}

/// Numbers in [−1, 1): GPUs slow down with the bits that change, so zeros would flatter every engine.
template <typename T>
void fill_sample(void* memory) {
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < kRandomBytes / sizeof(T); ++i) {
    state = state * 1664525u + 1013904223u;
    static_cast<T*>(memory)[i] = T(static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-31f);
  }
}

/// Device memory for all tensors of a spec and a workspace, filled with random numbers.
class Bench {
 public:
  Bench(Device& device, const ProductSpec& spec, std::size_t workspace_bytes) : device_(device) {
    std::vector<std::size_t> offsets;
    std::size_t bytes = 0;
    for (const std::size_t tensor : tensor_bytes(spec)) {
      offsets.push_back(bytes);
      bytes += (tensor + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
    }
    memory_ = static_cast<std::byte*>(device.allocate(std::max(bytes + workspace_bytes, kTensorAlignment)));
    for (const std::size_t offset : offsets) tensors.push_back(memory_ + offset);
    workspace = memory_ + bytes;
    start = device.make_event(true);
    end = device.make_event(true);
    fill(bytes, type_of(spec));
  }
  ~Bench() {
    device_.release(start);
    device_.release(end);
    device_.release(memory_);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  double seconds_of(const Product& product) {
    device_.record(start, Stream::compute);
    device_.run(product, tensors, workspace, Stream::compute);
    device_.record(end, Stream::compute);
    device_.synchronize(end);
    return device_.seconds_between(start, end);
  }

  /// A graph of kRunsOfReplay runs, which the caller releases.
  GraphExec capture(const Product& product) {
    device_.begin_capture(Stream::compute);
    try {
      for (int run = 0; run < kRunsOfReplay; ++run) device_.run(product, tensors, workspace, Stream::compute);
    } catch (...) {
      // The stream must not stay in capture: other engines are tried on it.
      abandon_capture();
      throw;
    }
    return device_.end_capture(Stream::compute);
  }
  /// Of one of the runs of a replay.
  double seconds_of(GraphExec graph) {
    device_.record(start, Stream::compute);
    device_.launch(graph, Stream::compute);
    device_.record(end, Stream::compute);
    device_.synchronize(end);
    return device_.seconds_between(start, end) / kRunsOfReplay;
  }
  void release(GraphExec graph) { device_.release(graph); }

  std::vector<void*> tensors;
  void* workspace = nullptr;
  Event start = nullptr, end = nullptr;

 private:
  void abandon_capture() {
    try {
      if (const GraphExec graph = device_.end_capture(Stream::compute)) device_.release(graph);
    } catch (const Error&) {
      // It says that the capture was broken, which is known.
    }
  }
  void fill(std::size_t bytes, DType type) {
    void* sample = device_.allocate_pinned(kRandomBytes);
    if (type == DType::f32) fill_sample<float>(sample);
    if (type == DType::bf16) fill_sample<BFloat16>(sample);
    if (type == DType::f16) fill_sample<Float16>(sample);
    std::size_t filled = std::min(bytes, kRandomBytes);
    device_.copy(memory_, sample, filled, Stream::compute);
    while (filled < bytes) {
      const std::size_t part = std::min(filled, bytes - filled);
      device_.copy(memory_ + filled, memory_, part, Stream::compute);
      filled += part;
    }
    device_.synchronize();
    device_.release_pinned(sample);
  }

  Device& device_;
  std::byte* memory_ = nullptr;
};

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<std::shared_ptr<const Product>> candidates_for(Device& device, const ProductSpec& spec, bool is_timed) {
  const Clock::time_point start = Clock::now();
  std::vector<std::shared_ptr<const Product>> candidates;
  for (const std::string& engine : device.engines(spec)) {
    if (candidates.size() == (is_timed ? kMaxCandidates : 1)) break;
    if (!candidates.empty() && seconds_since(start) > kMaxWallSeconds) break;
    if (auto product = device.make_product(spec, engine)) candidates.push_back(std::move(product));
  }
  return candidates;
}

/// The best of a few runs, after one that loads the kernel. Takes what it used off `budget`.
double best_seconds(Bench& bench, const Product& product, double bound, double& budget) {
  bench.seconds_of(product);
  double seconds = bench.seconds_of(product);
  budget -= 2 * seconds;
  if (seconds >= kShortSeconds) {
    for (int run = 1; run < kMaxRuns && budget > 0 && seconds < bound; ++run) {
      const double once = bench.seconds_of(product);
      budget -= once;
      seconds = std::min(seconds, once);
    }
    return seconds;
  }
  const GraphExec graph = bench.capture(product);
  bench.seconds_of(graph);
  for (int run = 0; run < kMaxRuns; ++run) {
    const double once = bench.seconds_of(graph);
    budget -= once * kRunsOfReplay;
    seconds = std::min(seconds, once);
  }
  bench.release(graph);
  return seconds;
}

TimedEngine timed(Bench& bench, std::span<const std::shared_ptr<const Product>> candidates) {
  TimedEngine fastest;
  double budget = kBudgetSeconds;
  for (const auto& candidate : candidates) {
    if (budget <= 0) break;
    try {
      const double bound = fastest.product == nullptr ? std::numeric_limits<double>::infinity() : 2 * fastest.seconds;
      const double seconds = best_seconds(bench, *candidate, bound, budget);
      if (fastest.product == nullptr || seconds < fastest.seconds) fastest = {candidate, seconds};
    } catch (const DeviceError&) {
      // An engine that can be made but not run is none.
    }
  }
  return fastest;
}

/// Whether somebody who is told that no engine can run the spec has another way.
bool is_optional(const ProductSpec& spec) {
  if (const auto* conv = std::get_if<ConvolutionSpec>(&spec)) return conv->bias || conv->relu || conv->statistics;
  return std::get<MatmulSpec>(spec).epilogue != Epilogue::none;
}

}  // namespace

TimedEngine fastest_engine(Device& device, const ProductSpec& spec) {
  const auto candidates = candidates_for(device, spec, device.info().multiprocessors > 0);
  if (candidates.empty()) return {};
  const TimedEngine favourite{.product = candidates[0]};
  if (candidates.size() == 1) return favourite;
  std::size_t workspace_bytes = 0;
  for (const auto& candidate : candidates) workspace_bytes = std::max(workspace_bytes, candidate->workspace_bytes());
  try {
    Bench bench(device, spec, workspace_bytes);
    const TimedEngine fastest = timed(bench, candidates);
    if (fastest.product != nullptr) return fastest;
    // None has run: what the library says then is told by the step that cannot do without.
    return is_optional(spec) ? TimedEngine{} : favourite;
  } catch (const OutOfMemory&) {
    return favourite;
  }
}

}  // namespace athanor::cuda
