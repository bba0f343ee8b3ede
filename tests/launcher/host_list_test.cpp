// Hosts and how many ranks they take: as people and as Slurm write them.
#include "launcher/supervisor/host_list.h"

#include <gmock/gmock.h>

#include "base/error.h"

namespace athanor {
namespace {

using ::testing::HasSubstr;

std::string refusal_of(const std::string& text) {
  try {
    parse_host_list(text);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(HostList, ReadsNamesAndSlots) {
  const std::vector<HostSlots> want{{"h1", 4}, {"node-2.lan", 1}, {"10.0.0.3", 16}};
  EXPECT_EQ(parse_host_list("h1:4,node-2.lan,10.0.0.3:16"), want);
  EXPECT_EQ(slots_of(want), 21);
}

TEST(HostList, SaysWhatIsWrongWithOneThatIsNone) {
  EXPECT_THAT(refusal_of(""), HasSubstr("--hosts h1:4,h2:4"));
  EXPECT_THAT(refusal_of("h1:4,,h2:4"), HasSubstr("'' is no host"));
  EXPECT_THAT(refusal_of("h1:four"), HasSubstr("'h1:four': behind the colon"));
  EXPECT_THAT(refusal_of("h1:0"), HasSubstr("1 to 65536"));
  EXPECT_THAT(refusal_of("h1:4:5"), HasSubstr("'h1:4:5': behind the colon"));
  EXPECT_THAT(refusal_of("h1:2,h1:2"), HasSubstr("h1:4"));
  EXPECT_THAT(refusal_of("h1,h1.lan"), HasSubstr("twice"));
}

TEST(HostList, TakesNoNameThatASshWouldReadAsAnOption) {
  EXPECT_THAT(refusal_of("-oProxyCommand=x"), HasSubstr("is no host"));
  EXPECT_THAT(refusal_of("h1;reboot"), HasSubstr("is no host"));
  EXPECT_THAT(refusal_of("h1 h2"), HasSubstr("is no host"));
}

TEST(HostList, ReadsTasksPerNode) {
  EXPECT_EQ(parse_tasks_per_node("2(x3),1"), (std::vector<int>{2, 2, 2, 1}));
  EXPECT_EQ(parse_tasks_per_node("4"), std::vector<int>{4});
  for (const char* text : {"", "2(x)", "2(x3", "x", "2(3)", "0", "2(x3)1"}) {
    EXPECT_THROW(parse_tasks_per_node(text), UsageError) << text;
  }
}

TEST(HostList, RanksFillHostsInOrder) {
  const std::vector<HostSlots> hosts{{"a", 2}, {"b", 3}, {"c", 4}};
  EXPECT_EQ(fill(hosts, 4), (std::vector<HostSlots>{{"a", 2}, {"b", 2}}));
  EXPECT_EQ(fill(hosts, 100), hosts);
}

TEST(HostList, AHostIsTheSameWithItsDomain) {
  EXPECT_TRUE(is_same_host("node1", "node1.cluster"));
  EXPECT_TRUE(is_same_host("node1.cluster", "node1"));
  EXPECT_FALSE(is_same_host("node1", "node10"));
  EXPECT_FALSE(is_same_host("", "node1"));
}

}  // namespace
}  // namespace athanor
