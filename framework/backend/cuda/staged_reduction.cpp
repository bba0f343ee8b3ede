#include "backend/cuda/staged_reduction.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "comm/tree.h"

namespace athanor::cuda {
namespace {

using Clock = std::chrono::steady_clock;

/// Bytes from the start of an arena to the end of the last bucket.
std::size_t arena_bytes(const Plan& plan) {
  std::int64_t end = 0;
  for (const ReduceStep& step : plan.reduce) end = std::max(end, step.range.end);
  return static_cast<std::size_t>(end) * sizeof(float);
}

std::size_t bytes_of(ArenaRange range) {
  return static_cast<std::size_t>(range.elements()) * sizeof(float);
}

}  // namespace

StagedReduction::StagedReduction(Device& device, Communicator& communicator, const Plan& plan,
                                 const DeviceReductionOptions& options)
    : device_(device),
      plan_(plan),
      own_pieces_(subtrees_of(plan.shards, shards_of_rank(plan.shards, communicator.rank(), communicator.size()))),
      slots_(kReductionSlots, Slot{.reports = std::vector<RankReport>(static_cast<std::size_t>(communicator.size()))}),
      reduction_(communicator, plan, {.mode = options.mode, .wire = options.wire, .sharded_update = false}) {
  std::vector<float*> arenas;
  for (std::size_t piece = 0; piece < own_pieces_.size(); ++piece) {
    arenas.push_back(staged_.emplace_back(device, MemoryKind::pinned, arena_bytes(plan)).as<float>());
  }
  reduction_.bind(std::move(arenas));
  for (std::size_t bucket = 0; bucket < plan.reduce.size(); ++bucket) {
    ready_.emplace_back(device);
    arrived_.emplace_back(device);
  }
}

void StagedReduction::bind(std::vector<float*> pieces) {
  ATHANOR_CHECK(pieces.size() == own_pieces_.size());
  pieces_ = std::move(pieces);
}

void StagedReduction::begin_step(const RankReport& report, int slot) {
  bytes_before_ = reduction_.bytes_sent();
  submitted_ = returned_ = 0;
  slot_ = slot;
  slots_[static_cast<std::size_t>(slot)].exposed_s = 0;
  reduction_.begin_step(report);
}

void StagedReduction::enqueue(std::size_t bucket) {
  const ArenaRange range = plan_.reduce[bucket].range;
  device_.record(ready_[bucket].get(), Stream::compute);
  device_.wait(Stream::communication, ready_[bucket].get());
  for (std::size_t piece = 0; piece < pieces_.size() && range.elements() > 0; ++piece) {
    device_.copy(staged_[piece].as<float>() + range.begin, pieces_[piece] + range.begin, bytes_of(range),
                 Stream::communication);
  }
  device_.record(arrived_[bucket].get(), Stream::communication);
}

void StagedReduction::submit_to(std::size_t last) {
  for (; submitted_ <= last; ++submitted_) {
    device_.synchronize(arrived_[submitted_].get());
    reduction_.submit(submitted_);
  }
}

void StagedReduction::wait(std::size_t bucket) {
  submit_to(bucket);
  const Clock::time_point start = Clock::now();
  reduction_.wait(bucket);
  slots_[static_cast<std::size_t>(slot_)].exposed_s += std::chrono::duration<double>(Clock::now() - start).count();
  // A second wait finds the sum there; the executor may use the arena for something else by then.
  for (; returned_ <= bucket; ++returned_) {
    const ArenaRange range = plan_.reduce[returned_].range;
    if (range.elements() == 0) continue;
    device_.copy(pieces_[0] + range.begin, staged_[0].as<float>() + range.begin, bytes_of(range), Stream::compute);
  }
}

void StagedReduction::close(int slot) {
  if (!plan_.reduce.empty()) wait(plan_.reduce.size() - 1);
  reduction_.wait_all();
  std::ranges::copy(reduction_.reports(), slots_[static_cast<std::size_t>(slot)].reports.begin());
  step_bytes_ = reduction_.bytes_sent() - bytes_before_;
}

std::span<const RankReport> StagedReduction::reports(int slot) const {
  return slots_[static_cast<std::size_t>(slot)].reports;
}

}  // namespace athanor::cuda
