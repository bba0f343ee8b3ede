// The tests of the executor can fail: what they check is planted here as a fault, one at a time, in a device that
// forgets a call, and each is caught.
#include <gtest/gtest.h>

#include "comm/rank_report.h"
#include "gpu/support/emulated_training.h"
#include "gpu/support/forwarding_device.h"

namespace athanor::testing {
namespace {

using cuda::Stream;

/// What a device forgets.
enum class Fault : std::uint8_t {
  none,
  compute_waits,        ///< compute does not wait for the input's copy, nor for sums
  communication_waits,  ///< communication does not wait for the gradients
  host_waits,           ///< the host does not wait for a step before it fills that step's input buffer again
  stop_report           ///< the report of a rank that was asked to stop is not sent
};

class FaultyDevice : public ForwardingDevice {
 public:
  FaultyDevice(cuda::Device& device, Fault fault) : ForwardingDevice(device), fault_(fault) {}

  void wait(Stream stream, cuda::Event event) override {
    if (fault_ == Fault::compute_waits && stream == Stream::compute) return;
    if (fault_ == Fault::communication_waits && stream == Stream::communication) return;
    ForwardingDevice::wait(stream, event);
  }
  using ForwardingDevice::synchronize;
  void synchronize(cuda::Event event) override {
    if (fault_ != Fault::host_waits) ForwardingDevice::synchronize(event);
  }
  void copy(void* to, const void* from, std::size_t bytes, Stream stream) override {
    if (fault_ == Fault::stop_report && stream == Stream::communication && bytes == sizeof(RankReport)) return;
    ForwardingDevice::copy(to, from, bytes, stream);
  }

 private:
  Fault fault_;
};

constexpr int kStopAt = 3;

EmulatedRun run_with(Fault fault, int ranks, std::uint64_t seed) {
  EmulatedRun run{.ranks = ranks, .steps = 6, .depth = 8, .side = 8, .cuda_graph = false, .seed = seed};
  run.stop_at = kStopAt;
  if (fault != Fault::none) {
    run.wrap = [fault](cuda::Device& device) { return std::make_unique<FaultyDevice>(device, fault); };
  }
  return run;
}

/// What is wrong with a run, as training_test.cpp would find it; "": nothing.
std::string problem_of(Fault fault, int ranks, std::uint64_t seed) {
  static const RunOutcome want = train_emulated(run_with(Fault::none, 1, 1))[0];
  std::vector<RunOutcome> outcomes;
  try {
    outcomes = train_emulated(run_with(fault, ranks, seed));
  } catch (const Error& error) {
    return error.what();
  }
  for (const RunOutcome& outcome : outcomes) {
    if (outcome.results.size() != want.results.size()) return "steps are missing";
    for (std::size_t step = 0; step < want.results.size(); ++step) {
      if (outcome.results[step].stop != (step + 1 == kStopAt)) return "stop is not agreed";
      if (outcome.results[step].loss != want.results[step].loss) return "another loss";
    }
    if (outcome.state != want.state) return "another state";
  }
  return "";
}

/// How many of some orders show the fault.
int orders_with_problem(Fault fault, int ranks) {
  int found = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) found += problem_of(fault, ranks, seed).empty() ? 0 : 1;
  return found;
}

TEST(PlantedFault, NoneIsFoundWhereNoneIs) {
  EXPECT_EQ(orders_with_problem(Fault::none, 1), 0);
  EXPECT_EQ(orders_with_problem(Fault::none, 2), 0);
}

TEST(PlantedFault, ComputeThatDoesNotWaitForItsInputIsCaught) {
  EXPECT_GE(orders_with_problem(Fault::compute_waits, 1), 1);
}

TEST(PlantedFault, ComputeThatDoesNotWaitForSumsIsCaught) {
  EXPECT_GE(orders_with_problem(Fault::compute_waits, 2), 1);
}

TEST(PlantedFault, SumsThatDoNotWaitForGradientsAreCaught) {
  EXPECT_GE(orders_with_problem(Fault::communication_waits, 2), 1);
}

TEST(PlantedFault, AnInputBufferThatIsReusedTooEarlyIsCaught) {
  EXPECT_GE(orders_with_problem(Fault::host_waits, 1), 1);
}

TEST(PlantedFault, ALostStopReportIsCaught) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    EXPECT_EQ(problem_of(Fault::stop_report, 2, seed), "stop is not agreed");
  }
}

}  // namespace
}  // namespace athanor::testing
