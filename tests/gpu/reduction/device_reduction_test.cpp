// Sums between GPUs have the bits of the recursive definition, on any number of ranks, eager and captured, in any legal
// order of the streams; and the ranks' reports travel with them.
#include "backend/cuda/device_reduction.h"

#include <gtest/gtest.h>

#include "gpu/reduction/rank_rig.h"
#include "gpu/support/thread_ranks.h"

namespace athanor::testing {
namespace {

using cuda::DeviceReductionOptions;
using cuda::ReductionKind;

const std::vector<std::int64_t> kLengths = {50'001, 17, 40'000, 1, 700};

RankReport report_of(int rank, int step) {
  return {.stop = rank == 1 && step == 2 ? 1 : 0, .data_wait_s = 0.25f * static_cast<float>(rank)};
}

void expect_reports(RankRig& rig, int ranks, int step, int slot) {
  const std::span<const RankReport> reports = rig.reduction().reports(slot);
  ASSERT_EQ(reports.size(), static_cast<std::size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank) {
    const RankReport& report = reports[static_cast<std::size_t>(rank)];
    EXPECT_EQ(report.stop, report_of(rank, step).stop) << rank;
    EXPECT_EQ(report.data_wait_s, report_of(rank, step).data_wait_s) << rank;
    if (ranks > 1) {
      EXPECT_GT(report.compute_s, 0) << rank;
      EXPECT_LT(report.compute_s, 60) << rank;
    }
  }
}

struct Case {
  int ranks = 1;
  int shards = 1;
  std::uint64_t seed = 1;
  bool shared_device = false;
  bool captured = false;
};

void take_steps(Communicator& communicator, const Case& c) {
  EmulatedDevice device({.seed = c.seed * 100 + static_cast<std::uint64_t>(communicator.rank()),
                         .ordinal = c.shared_device ? 0 : communicator.rank(),
                         .group_faults = {.delay_seed = c.seed}});
  const Plan plan = bucket_plan(c.shards, kLengths);
  {
    RankRig rig(device, communicator, plan);
    EXPECT_EQ(rig.reduction().kind(), c.ranks == 1      ? ReductionKind::alone
                                      : c.shared_device ? ReductionKind::staged
                                                        : ReductionKind::group);
    std::vector<cuda::GraphExec> graphs;
    for (int slot = 0; c.captured && slot < cuda::kReductionSlots; ++slot) {
      device.synchronize();
      rig.reduction().set_capturing(true);
      device.begin_capture(cuda::Stream::compute);
      rig.enqueue_step(slot);
      graphs.push_back(device.end_capture(cuda::Stream::compute));
      rig.reduction().set_capturing(false);
    }
    for (int step = 0; step < 4; ++step) {
      const int slot = step % cuda::kReductionSlots;
      rig.set_gradients(static_cast<std::uint64_t>(step));
      rig.reduction().set_step(step);
      rig.reduction().begin_step(report_of(communicator.rank(), step), slot);
      if (c.captured) {
        device.launch(graphs[static_cast<std::size_t>(slot)], cuda::Stream::compute);
      } else {
        rig.enqueue_step(slot);
      }
      device.synchronize();
      EXPECT_TRUE(same_bits(rig.result(), tree_sum(0, c.shards, rig.count(), static_cast<std::uint64_t>(step))))
          << c.ranks << " ranks, " << c.shards << " shards, step " << step;
      expect_reports(rig, c.ranks, step, slot);
    }
    for (const cuda::GraphExec graph : graphs) device.release(graph);
  }
  device.check();
}

void run(const Case& c) {
  run_ranks(c.ranks, [&](Communicator& communicator) { take_steps(communicator, c); });
}

TEST(DeviceReduction, HasTheBitsOfTheRecursiveDefinition) {
  for (const int ranks : {1, 2, 3, 4, 5, 8}) {
    for (const int shards : {ranks, ranks + 1, 8}) run({.ranks = ranks, .shards = shards, .seed = 1});
  }
}

TEST(DeviceReduction, HasThemAsAGraphToo) {
  for (const int ranks : {1, 2, 3, 4}) run({.ranks = ranks, .shards = 8, .captured = true});
}

TEST(DeviceReduction, HasThemInAnyOrderOfTheStreams) {
  for (std::uint64_t seed = 2; seed < 12; ++seed) {
    run({.ranks = 3, .shards = 4, .seed = seed, .captured = seed % 2 == 0});
  }
}

TEST(DeviceReduction, HasThemThroughTheHostWhereRanksShareADevice) {
  for (const int ranks : {2, 3, 4}) run({.ranks = ranks, .shards = 6, .shared_device = true});
}

TEST(DeviceReduction, TheLibrarysSumIsAsGoodAsItsWire) {
  for (const DType wire : {DType::f32, DType::bf16, DType::f16}) {
    run_ranks(3, [&](Communicator& communicator) {
      EmulatedDevice device({.ordinal = communicator.rank()});
      const Plan plan = bucket_plan(7, kLengths);
      RankRig rig(device, communicator, plan, {.mode = ReductionMode::library, .wire = wire});
      // Sums that float16 can hold.
      const float scale = 0x1p-8f;
      rig.set_gradients(9, scale);
      rig.reduction().begin_step({}, 0);
      rig.enqueue_step(0);
      device.synchronize();
      const Vector found = rig.result(), want = tree_sum(0, 7, rig.count(), 9);
      for (std::size_t i = 0; i < found.size(); ++i) {
        const bool is_parameter = i < plan.parameter_elements;
        const double bits = wire == DType::f32 || !is_parameter ? 20 : wire == DType::f16 ? 9 : 6;
        ASSERT_NEAR(found[i], want[i] * scale, 0x1p18f * scale * std::exp2(-bits)) << i;
      }
    });
  }
}

TEST(DeviceReduction, KnowsItsMemoryAndItsBytesBefore) {
  run_ranks(4, [](Communicator& communicator) {
    EmulatedDevice device({.ordinal = communicator.rank()});
    const std::int64_t count = 64'000;
    const Plan plan = bucket_plan(4, {count, 0});
    const std::size_t free = device.free_bytes();
    const DeviceReductionOptions options;
    const auto reduction = cuda::make_device_reduction(ReductionKind::group, device, communicator, plan, options);
    EXPECT_EQ(reduction->step_bytes(), 2 * 3 * count);
    EXPECT_LE(free - device.free_bytes(),
              cuda::reduction_bytes(ReductionKind::group, plan, communicator, options) + 16'384);
    EXPECT_LE(cuda::reduction_bytes(ReductionKind::group, plan, communicator, options), count * sizeof(float));
  });
}

}  // namespace
}  // namespace athanor::testing
