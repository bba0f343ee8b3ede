// Every collective of the communicator, on vectors whose results are known exactly.
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "distributed/world.h"

namespace athanor::distributed_test {
namespace {

constexpr std::size_t kCounts[] = {0, 1, 1023, 4099, 10'000'000};

struct Half {
  _Float16 value = 0;
  Half() = default;
  explicit Half(int number) : value(static_cast<_Float16>(number)) {}
};
struct Brain {
  BFloat16 value;
  Brain() = default;
  explicit Brain(int number) : value(static_cast<float>(number)) {}
};

/// What a rank hands in: whole numbers so small that every type adds them exactly.
int term(std::size_t i, int rank) {
  return static_cast<int>((i * 7 + static_cast<std::size_t>(rank) * 3) % 5);
}

int expected(std::size_t i, ReduceOp op, int ranks) {
  int result = term(i, 0);
  for (int rank = 1; rank < ranks; ++rank) {
    const int next = term(i, rank);
    result = op == ReduceOp::sum   ? result + next
             : op == ReduceOp::max ? std::max(result, next)
                                   : std::min(result, next);
  }
  return result;
}

template <typename Number>
void check_all_reduce(DType type, ReduceOp op, std::size_t count) {
  std::vector<Number> data(count), want(count);
  for (std::size_t i = 0; i < count; ++i) {
    data[i] = Number(term(i, world().rank()));
    want[i] = Number(expected(i, op, world().size()));
  }
  world().all_reduce(data.data(), count, type, op, "test");
  EXPECT_EQ(std::memcmp(data.data(), want.data(), count * sizeof(Number)), 0)
      << count << " of " << name_of(type) << ", operation " << static_cast<int>(op);
}

template <typename Number>
void check_reduce_scatter(DType type, std::size_t count) {
  const auto ranks = static_cast<std::size_t>(world().size()), own = static_cast<std::size_t>(world().rank());
  std::vector<Number> data(count * ranks), found(count), want(count);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = Number(term(i, world().rank()));
  for (std::size_t i = 0; i < count; ++i) want[i] = Number(expected(own * count + i, ReduceOp::sum, world().size()));
  world().reduce_scatter(data.data(), found.data(), count, type, ReduceOp::sum, "test");
  EXPECT_EQ(std::memcmp(found.data(), want.data(), count * sizeof(Number)), 0) << count << " of " << name_of(type);
}

template <typename Number>
void check_type(DType type) {
  for (const std::size_t count : kCounts) {
    check_all_reduce<Number>(type, ReduceOp::sum, count);
    if (count > 10'000) continue;
    check_all_reduce<Number>(type, ReduceOp::max, count);
    check_all_reduce<Number>(type, ReduceOp::min, count);
    check_reduce_scatter<Number>(type, count);
  }
}

TEST(Collectives, ReduceFloat32) {
  check_type<float>(DType::f32);
}
TEST(Collectives, ReduceFloat64) {
  check_type<double>(DType::f64);
}
TEST(Collectives, ReduceBfloat16) {
  check_type<Brain>(DType::bf16);
}
TEST(Collectives, ReduceFloat16) {
  check_type<Half>(DType::f16);
}
TEST(Collectives, ReduceInt32) {
  check_type<std::int32_t>(DType::i32);
}
TEST(Collectives, ReduceInt64) {
  check_type<std::int64_t>(DType::i64);
}
TEST(Collectives, ReduceBytes) {
  check_type<std::uint8_t>(DType::u8);
}

TEST(Collectives, GatherBroadcastAndAgree) {
  const int ranks = world().size(), rank = world().rank();
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{4099}, std::size_t{3'000'001}}) {
    const std::vector<char> own(bytes, static_cast<char>('a' + rank));
    std::vector<char> all(bytes * static_cast<std::size_t>(ranks)), want;
    for (int peer = 0; peer < ranks; ++peer) want.insert(want.end(), bytes, static_cast<char>('a' + peer));
    world().all_gather(own.data(), all.data(), bytes, "test");
    EXPECT_EQ(all, want) << bytes;
    for (int root = 0; root < ranks; ++root) {
      std::vector<char> sent(bytes, static_cast<char>('a' + rank));
      world().broadcast(sent.data(), bytes, root, "test");
      EXPECT_EQ(sent, std::vector<char>(bytes, static_cast<char>('a' + root))) << bytes;
    }
  }
  EXPECT_EQ(world().agree(rank == ranks - 1 ? 5 : 0, "test"), 5);
  EXPECT_EQ(world().agree(0, "test"), 0);
  world().barrier("test");
}

TEST(Collectives, TextsOfDifferentLength) {
  const std::string own(static_cast<std::size_t>(world().rank()) * 3, 'x');
  const std::vector<std::string> all = gather_texts(world(), own, "test");
  ASSERT_EQ(all.size(), static_cast<std::size_t>(world().size()));
  for (std::size_t rank = 0; rank < all.size(); ++rank) EXPECT_EQ(all[rank], std::string(rank * 3, 'x'));
  EXPECT_EQ(broadcast_text(world(), world().rank() == 0 ? "hello" : "", 0, "test"), "hello");
}

TEST(Collectives, MessagesBetweenTwoRanksKeepTheirOrder) {
  const int ranks = world().size(), rank = world().rank();
  const int next = (rank + 1) % ranks, previous = (rank + ranks - 1) % ranks;
  std::vector<int> out{rank * 10 + 1, rank * 10 + 2, rank * 10 + 3}, in(3);
  std::vector<SendPart> sends;
  std::vector<ReceivePart> receives;
  for (std::size_t i = 0; i < 3; ++i) {
    sends.push_back({next, &out[i], sizeof(int)});
    receives.push_back({previous, &in[i], sizeof(int)});
  }
  world().exchange(sends, receives, "test");
  EXPECT_EQ(in, (std::vector<int>{previous * 10 + 1, previous * 10 + 2, previous * 10 + 3}));
}

TEST(Collectives, ADuplicateDoesNotMixItsMessagesWithTheOriginals) {
  const auto copy = world().duplicate("test");
  EXPECT_EQ(copy->rank(), world().rank());
  EXPECT_EQ(copy->size(), world().size());
  std::int32_t one = 1;
  copy->all_reduce(&one, 1, DType::i32, ReduceOp::sum, "test");
  EXPECT_EQ(one, world().size());
}

}  // namespace
}  // namespace athanor::distributed_test
