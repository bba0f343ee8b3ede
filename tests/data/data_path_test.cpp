#include "data/data_path.h"

#include <gmock/gmock.h>

#include "data_files.h"

namespace athanor {
namespace {

TEST(DataPath, TakesTheVariableOrTheFolderBesideOrSaysWhatToSet) {
  const test::TemporaryFolder folder;
  const std::string template_path = "${ATHANOR_DATA}/mnist";
  ASSERT_EQ(setenv("ATHANOR_DATA", "/data sets", 1), 0);
  EXPECT_EQ(resolve_data_path(template_path), "/data sets/mnist");
  EXPECT_EQ(resolve_data_path("elsewhere/mnist"), "elsewhere/mnist");

  ASSERT_EQ(unsetenv("ATHANOR_DATA"), 0);
  const auto before = std::filesystem::current_path();
  std::filesystem::create_directories(folder / "checkout");
  std::filesystem::current_path(folder / "checkout");
  EXPECT_THAT(test::data_error_of([&] { resolve_data_path(template_path); }),
              ::testing::HasSubstr("set ATHANOR_DATA to the folder that 'mnist' lies in"));
  std::filesystem::create_directories(folder / "shared/data");
  EXPECT_EQ(resolve_data_path(template_path), "../shared/data/mnist");
  std::filesystem::current_path(before);
}

}  // namespace
}  // namespace athanor
