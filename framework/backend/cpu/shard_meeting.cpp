#include "backend/cpu/shard_meeting.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/error.h"
#include "graph/op.h"

namespace athanor::cpu {
namespace {

/// Bytes that a shard brings to the largest meeting of a plan.
std::size_t largest_meeting(const Plan& plan) {
  std::size_t largest = 0;
  for (const PlannedStep& step : plan.shard) {
    const Node& node = plan.graph.node(step.node);
    if (node.op->synchronizes) {
      largest = std::max(largest, BackendPlanner::dense_bytes(plan.graph.value(node.inputs[0])));
    }
  }
  return largest;
}

/// Shards of the rank that has most.
int most_shards(int shards, int ranks) {
  return shards_of_rank(shards, 0, ranks).count();
}

}  // namespace

std::size_t ShardMeeting::memory_bytes(const Plan& plan, int ranks) {
  return 2 * largest_meeting(plan) * static_cast<std::size_t>(ranks * most_shards(plan.shards, ranks));
}

ShardMeeting::ShardMeeting(const Plan& plan, ShardRange own, Communicator& communicator)
    : communicator_(communicator),
      shards_(plan.shards),
      rank_(communicator.rank()),
      ranks_(communicator.size()),
      most_(most_shards(plan.shards, communicator.size())) {
  ATHANOR_CHECK(own == shards_of_rank(shards_, rank_, ranks_), "shards {} to {} of {} are not those of rank {} of {}",
                own.first, own.last, shards_, rank_, ranks_);
  for (std::vector<std::byte>& buffer : buffers_) buffer.resize(memory_bytes(plan, ranks_) / 2);
}

void ShardMeeting::meet(std::span<const ShardProgram> programs, std::size_t index, int lane, LanePool& pool) {
  std::byte* buffer = buffers_[index % 2].data();
  const std::size_t bytes = programs.front().meetings()[index].bytes;
  const auto place_of = [&](int rank) { return buffer + static_cast<std::size_t>(rank * most_) * bytes; };
  const auto first = static_cast<std::size_t>(lane), lanes = static_cast<std::size_t>(pool.lanes());
  for (std::size_t shard = first; shard < programs.size(); shard += lanes) {
    std::memcpy(place_of(rank_) + shard * bytes, programs[shard].meetings()[index].own, bytes);
  }
  pool.sync();
  if (ranks_ > 1) {
    if (lane == 0) exchange(buffer, bytes);
    pool.sync();
  }
  for (std::size_t shard = first; shard < programs.size(); shard += lanes) {
    std::byte* all = programs[shard].meetings()[index].all;
    for (int rank = 0; rank < ranks_; ++rank) {
      const ShardRange range = shards_of_rank(shards_, rank, ranks_);
      std::memcpy(all + static_cast<std::size_t>(range.first) * bytes, place_of(rank),
                  static_cast<std::size_t>(range.count()) * bytes);
    }
  }
}

void ShardMeeting::exchange(std::byte* all, std::size_t bytes) {
  const std::size_t of_rank = static_cast<std::size_t>(most_) * bytes;
  const auto start = std::chrono::steady_clock::now();
  communicator_.all_gather(all + static_cast<std::size_t>(rank_) * of_rank, all, of_rank, "batch-norm statistics");
  waited_s_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  bytes_sent_ += static_cast<std::int64_t>(of_rank) * (ranks_ - 1);
}

}  // namespace athanor::cpu
