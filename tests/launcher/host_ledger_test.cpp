// Which hosts take part in the next attempt.
#include "launcher/supervisor/host_ledger.h"

#include <gmock/gmock.h>

namespace athanor {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::vector<HostSlots> kThree{{"a", 2}, {"b", 2}, {"c", 2}};

std::vector<std::string> names(const HostLedger::Choice& choice) {
  std::vector<std::string> names;
  for (const HostSlots& host : choice.hosts) names.push_back(host.name);
  return names;
}

TEST(HostLedger, KnowsWhereNoneAnswers) {
  HostLedger ledger({{"a", 1}, {"b", 1}}, 100);
  EXPECT_FALSE(ledger.choose({{"a", false}}, 0).none_answers);
  EXPECT_TRUE(ledger.choose({{"a", false}, {"b", false}}, 0).none_answers);
}

TEST(HostLedger, AHostThatDoesNotAnswerIsLeftOutUntilItDoes) {
  HostLedger ledger(kThree, 3600);
  ledger.note_failure("b", 0);
  const HostLedger::Choice without = ledger.choose({{"b", false}}, 1);
  EXPECT_THAT(names(without), ElementsAre("a", "c"));
  EXPECT_THAT(without.unreachable, ElementsAre("b"));
  EXPECT_THAT(names(ledger.choose({{"b", true}}, 2)), ElementsAre("a", "b", "c"));
}

TEST(HostLedger, AHostThatFailedTwiceIsLeftOutOnce) {
  HostLedger ledger(kThree, 3600);
  ledger.note_failure("b", 0);
  EXPECT_THAT(names(ledger.choose({{"b", true}}, 1)), ElementsAre("a", "b", "c"));
  ledger.note_failure("b", 10);
  const HostLedger::Choice without = ledger.choose({{"b", true}}, 11);
  EXPECT_THAT(names(without), ElementsAre("a", "c"));
  EXPECT_THAT(without.failing, ElementsAre("b"));
  EXPECT_THAT(names(ledger.choose({}, 12)), ElementsAre("a", "b", "c"));
}

TEST(HostLedger, AnAttemptThatCameToNothingCountsAgainstHostsThatFailedBefore) {
  HostLedger ledger(kThree, 3600);
  ledger.suspect(kThree, 0);
  EXPECT_THAT(ledger.choose({}, 0).failing, IsEmpty()) << "nobody had failed";
  ledger.note_failure("c", 1);
  ledger.suspect(kThree, 2);
  EXPECT_THAT(ledger.choose({}, 3).failing, ElementsAre("c"));
}

TEST(HostLedger, FailuresOfLongAgoDoNotCount) {
  HostLedger ledger(kThree, 100);
  ledger.note_failure("b", 0);
  ledger.note_failure("b", 150);
  EXPECT_THAT(ledger.choose({}, 151).failing, IsEmpty());
}

TEST(HostLedger, SomebodyAlwaysTakesPart) {
  HostLedger one({{"a", 2}}, 3600);
  for (const double at_s : {0.0, 1.0, 2.0}) one.note_failure("a", at_s);
  EXPECT_THAT(names(one.choose({{"a", true}}, 3)), ElementsAre("a"));
  EXPECT_THAT(names(one.choose({{"a", false}}, 3)), ElementsAre("a"));
  HostLedger three(kThree, 3600);
  EXPECT_THAT(names(three.choose({{"a", false}, {"b", false}, {"c", false}}, 0)), ElementsAre("a", "b", "c"));
  for (const double at_s : {0.0, 1.0}) three.note_failure("a", at_s);
  EXPECT_THAT(names(three.choose({{"b", false}, {"c", false}}, 2)), ElementsAre("a")) << "failing, but all there is";
}

TEST(HostLedger, HostsAreFoundByWhatTheyCallThemselves) {
  EXPECT_EQ(listed_name(kThree, "b.cluster", {}), "b");
  const std::vector<HostSlots> addresses{{"10.0.0.1", 2}, {"10.0.0.2", 2}};
  const std::vector<std::string> order{"node7", "node9"};
  EXPECT_EQ(listed_name(addresses, "node9", order), "10.0.0.2");
  EXPECT_EQ(listed_name(addresses, "node8", order), "");
}

}  // namespace
}  // namespace athanor
