// The rounds of all ranks, carried out side by side in one process: every message meets its counterpart, the sums have
// the bits of the recursive definition, and no more bytes move than must.
#include "comm/tree_messages.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <deque>
#include <map>
#include <vector>

#include "base/random.h"

namespace athanor {
namespace {

using Vector = std::vector<float>;
constexpr std::int64_t kSmall = 100;

/// Numbers of very different sizes, so that another order of adding gives other bits.
Vector shard_vector(int shard, std::int64_t count) {
  RandomStream stream(3, Purpose::test, static_cast<std::uint64_t>(shard), key_of("tree messages"));
  Vector values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(std::ldexp(stream.uniform(-1.0f, 1.0f), stream.below(16)));
  return values;
}

Vector tree_sum(int first, int last, std::int64_t count) {
  if (last - first == 1) return shard_vector(first, count);
  const int middle = first + left_leaves(last - first);
  Vector left = tree_sum(first, middle, count);
  const Vector right = tree_sum(middle, last, count);
  for (std::size_t i = 0; i < left.size(); ++i) left[i] = left[i] + right[i];
  return left;
}

struct Rank {
  TreeMessages messages;
  std::vector<Vector> pieces;
  Vector scratch;
  TreeRounds rounds;

  float* at(TreeOperand operand) {
    Vector& arena = operand.piece == TreeOperand::kScratch ? scratch : pieces[static_cast<std::size_t>(operand.piece)];
    return arena.data() + operand.begin;
  }
};

/// All ranks of a job; sums [0, count).
class Job {
 public:
  Job(int shards, int ranks, std::int64_t count) {
    for (int rank = 0; rank < ranks; ++rank) {
      TreeMessages messages(shards, rank, ranks, kSmall);
      std::vector<Vector> pieces;
      for (const ShardRange& range : messages.own_pieces()) pieces.push_back(tree_sum(range.first, range.last, count));
      const auto scratch = static_cast<std::size_t>(messages.scratch_elements(count));
      ranks_.push_back({std::move(messages), std::move(pieces), Vector(scratch, NAN), {}});
      ranks_.back().messages.all_reduce({0, count}, ranks_.back().rounds);
    }
  }

  void run() {
    for (std::size_t round = 0; round < ranks_.front().rounds.size(); ++round) {
      for (std::size_t rank = 0; rank < ranks_.size(); ++rank) send(static_cast<int>(rank), round);
      for (std::size_t rank = 0; rank < ranks_.size(); ++rank) receive_and_add(static_cast<int>(rank), round);
      for (const auto& [way, queue] : on_their_way_) {
        EXPECT_TRUE(queue.empty()) << "from " << way.first << " to " << way.second;
      }
    }
  }

  const Vector& sum_of(std::size_t rank) const { return ranks_[rank].pieces[0]; }
  std::size_t size() const { return ranks_.size(); }
  std::int64_t sent_by(std::size_t rank) const {
    std::int64_t elements = 0;
    for (std::size_t round = 0; round < ranks_[rank].rounds.size(); ++round) {
      for (const TreeMessage& message : ranks_[rank].rounds.at(round).sends) elements += message.count;
    }
    return elements;
  }

 private:
  void send(int rank, std::size_t round) {
    Rank& own = ranks_[static_cast<std::size_t>(rank)];
    for (const TreeMessage& message : own.rounds.at(round).sends) {
      const float* data = own.at(message.data);
      on_their_way_[{rank, message.peer}].emplace_back(data, data + message.count);
    }
  }

  void receive_and_add(int rank, std::size_t round) {
    Rank& own = ranks_[static_cast<std::size_t>(rank)];
    for (const TreeMessage& message : own.rounds.at(round).receives) {
      std::deque<Vector>& queue = on_their_way_[{message.peer, rank}];
      ASSERT_FALSE(queue.empty());
      ASSERT_EQ(queue.front().size(), static_cast<std::size_t>(message.count));
      std::ranges::copy(queue.front(), own.at(message.data));
      queue.pop_front();
    }
    for (const TreeAddition& addition : own.rounds.at(round).additions) {
      for (std::int64_t i = 0; i < addition.count; ++i) {
        own.at(addition.target)[i] = own.at(addition.left)[i] + own.at(addition.right)[i];
      }
    }
  }

  std::vector<Rank> ranks_;
  std::map<std::pair<int, int>, std::deque<Vector>> on_their_way_;
};

TEST(TreeMessages, HaveTheBitsOfTheRecursiveDefinitionOnEveryRank) {
  for (int ranks = 1; ranks <= 9; ++ranks) {
    for (int shards = ranks; shards <= ranks + 8; ++shards) {
      for (const std::int64_t count : {std::int64_t{1}, kSmall, kSmall + 1, std::int64_t{5003}}) {
        Job job(shards, ranks, count);
        job.run();
        const Vector want = tree_sum(0, shards, count);
        for (std::size_t rank = 0; rank < job.size(); ++rank) {
          ASSERT_EQ(std::memcmp(job.sum_of(rank).data(), want.data(), want.size() * sizeof(float)), 0)
              << shards << " shards, rank " << rank << " of " << ranks << ", " << count << " elements";
        }
      }
    }
  }
}

TEST(TreeMessages, MoveNoMoreThanTheyMustWhereShardsAreEven) {
  for (const int ranks : {2, 3, 4, 7, 8}) {
    const std::int64_t count = 16 * ranks * 100;
    const Job job(ranks, ranks, count);
    for (std::size_t rank = 0; rank < job.size(); ++rank) {
      EXPECT_EQ(job.sent_by(rank), 2 * (ranks - 1) * count / ranks);
    }
  }
}

/// Near ranks share a host: they exchange the halves, and the farthest ones the least.
TEST(TreeMessages, TheLargestMessagesGoToTheNearestRanks) {
  const TreeMessages messages(8, 0, 8, kSmall);
  TreeRounds rounds;
  messages.all_reduce({0, 16 * 8 * 100}, rounds);
  ASSERT_EQ(rounds.size(), 6u);
  for (std::size_t i = 0; i < 3; ++i) {
    const TreeRounds::Round down = rounds.at(i), up = rounds.at(5 - i);
    ASSERT_EQ(down.sends.size(), 1u);
    ASSERT_EQ(up.sends.size(), 1u);
    EXPECT_EQ(down.sends[0].peer, 1 << i);
    EXPECT_EQ(up.sends[0].peer, 1 << i);
    EXPECT_EQ(down.sends[0].count, 16 * 8 * 100 >> (i + 1));
  }
}

}  // namespace
}  // namespace athanor
