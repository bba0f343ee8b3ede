#include "backend/cuda/open_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"

namespace athanor::cuda {
namespace {

TEST(OpenDevice, EachRankOfAHostHasItsOwn) {
  EXPECT_EQ(ordinal_of(0, 4), 0);
  EXPECT_EQ(ordinal_of(3, 4), 3);
  EXPECT_EQ(ordinal_of(5, 4), 1) << "more ranks than GPUs share them";
  EXPECT_EQ(ordinal_of(3, 1), 0) << "the launcher shows each rank only its own";
}

TEST(OpenDevice, FoldersOfTheEnvironmentComeFirst) {
  ::setenv("ATHANOR_CUDA_LIBRARIES", "/a:/b/lib::/c", 1);
  const LibraryFolders folders = library_folders();
  ::unsetenv("ATHANOR_CUDA_LIBRARIES");
  EXPECT_THAT(folders.first, ::testing::ElementsAre("/a", "/b/lib", "/c"));
  EXPECT_THAT(library_folders().first, ::testing::IsEmpty());
  EXPECT_THAT(folders.last, ::testing::Contains("/usr/local/cuda/lib64"));
}

TEST(OpenDevice, WithoutAGpuTheErrorSaysWhatToDo) {
  if (has_device()) GTEST_SKIP() << "this machine has a GPU";
  try {
    open_device(0);
    FAIL() << "a device was opened";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("device=cpu"));
    EXPECT_EQ(error.code(), ExitCode::device);
  }
}

}  // namespace
}  // namespace athanor::cuda
