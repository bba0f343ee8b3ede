#include "base/build_id.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace athanor {
namespace {

TEST(BuildId, NamesTheProgramAndItsLibrary) {
  const std::string id = build_id();
  EXPECT_THAT(id, ::testing::MatchesRegex("[0-9a-f]+( [0-9a-f]+)?"));
  EXPECT_EQ(id, build_id());
}

}  // namespace
}  // namespace athanor
