// The command that asks a host whether it can take ranks.
#include "launcher/supervisor/probe.h"

#include <gmock/gmock.h>

namespace athanor {
namespace {

using ::testing::_;
using ::testing::ElementsAre;

std::vector<std::string> words_with(const std::string& agent) {
  return probe_command({}, agent, "elsewhere", {"10.0.0.1"}, 4711).words;
}

TEST(Probe, TakesAnAgentWithItsArguments) {
  EXPECT_THAT(words_with("sh -x  -e"), ElementsAre("sh", "-x", "-e", "elsewhere", _));
}

TEST(Probe, TakesTheFirstAgentThatIsThere) {
  EXPECT_THAT(words_with("no-such-agent -v : sh -x"), ElementsAre("sh", "-x", "elsewhere", _));
  EXPECT_THAT(words_with("no-such-agent -v"), ElementsAre("no-such-agent", "-v", "elsewhere", _));
}

TEST(Probe, OfAHostThatDoesNotAnswerSaysSoWhereTheAgentHasArguments) {
  boost::asio::io_context io;
  const Place place;
  HostProbe probe(io, place, "sh -c false");
  probe.ask("elsewhere");
  EXPECT_EQ(probe.answers(), (std::map<std::string, bool>{{"elsewhere", false}}));
}

}  // namespace
}  // namespace athanor
