#include "preflight/resource_limits.h"

#include <gmock/gmock.h>

#include "train/folders.h"

namespace athanor {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::write_file;

/// As the kernel prints them.
constexpr const char* kLimits =
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max cpu time              unlimited            unlimited            seconds   \n"
    "Max file size             1048576              unlimited            bytes     \n"
    "Max stack size            8388608              unlimited            bytes     \n"
    "Max core file size        0                    unlimited            bytes     \n"
    "Max processes             127337               127337               processes \n"
    "Max open files            64                   4096                 files     \n"
    "Max locked memory         65536                65536                bytes     \n"
    "Max address space         unlimited            unlimited            bytes     \n";

TEST(ResourceLimits, AreReadAsTheKernelPrintsThem) {
  const TemporaryFolder root;
  write_file(root.path() / "proc/self/limits", kLimits);
  const ResourceLimits limits = read_resource_limits(root.path());
  EXPECT_EQ(limits.file_bytes.soft, 1048576u);
  EXPECT_EQ(limits.file_bytes.hard, kUnlimited);
  EXPECT_EQ(limits.open_files.soft, 64u);
  EXPECT_EQ(limits.open_files.hard, 4096u);
  EXPECT_EQ(limits.cpu_s.soft, kUnlimited);
  EXPECT_EQ(limits.core_bytes.soft, 0u);
  EXPECT_EQ(limits.processes.soft, 127337u);
  EXPECT_EQ(limits.locked_bytes.hard, 65536u);
  EXPECT_EQ(limits.stack_bytes.soft, 8388608u);
}

TEST(ResourceLimits, ThatCannotBeReadAreNone) {
  const TemporaryFolder root;
  EXPECT_EQ(judge_limits(read_resource_limits(root.path()), {.ranks = 4096}).status, CheckStatus::ok);
}

TEST(ResourceLimits, ThoseOfThisProcessCanBeRead) {
  EXPECT_GT(read_resource_limits().open_files.soft, 2u);
  EXPECT_LE(read_resource_limits().open_files.soft, read_resource_limits().open_files.hard);
}

struct Case {
  ResourceLimits limits;
  LimitNeeds needs;
  CheckStatus status;
  const char* text;
};

TEST(ResourceLimits, ThatHurtAreNamedWithTheCommandThatRaisesThem) {
  constexpr std::uint64_t kMega = 1'000'000, kGiga = 1000 * kMega;
  const Case cases[] = {
      {{.file_bytes = {1 * kMega}}, {.checkpoint_bytes = 2 * kMega}, CheckStatus::failed, "`ulimit -f unlimited`"},
      {{.file_bytes = {1 * kMega, 1 * kMega}}, {.checkpoint_bytes = 2 * kMega}, CheckStatus::failed, "limits.conf"},
      {{.file_bytes = {3 * kMega}}, {.checkpoint_bytes = 2 * kMega}, CheckStatus::ok, ""},
      {{.address_bytes = {5 * kGiga}}, {.peak_bytes = 6 * kGiga}, CheckStatus::failed, "`ulimit -v unlimited`"},
      {{.address_bytes = {7 * kGiga}}, {.peak_bytes = 6 * kGiga}, CheckStatus::warning, "MPI and this run"},
      {{.address_bytes = {99 * kGiga}}, {.peak_bytes = kMega}, CheckStatus::ok, ""},
      {{.address_bytes = {99 * kGiga}}, {.peak_bytes = kMega, .has_device = true}, CheckStatus::warning, "CUDA"},
      {{.open_files = {1024}}, {.ranks = 256}, CheckStatus::ok, ""},
      {{.open_files = {1024, 4096}}, {.ranks = 512}, CheckStatus::warning, "`ulimit -n 1792`"},
      {{.open_files = {1024, 1024}}, {.ranks = 512}, CheckStatus::warning, "LimitNOFILE"},
      {{.processes = {100}}, {.threads_of_host = 8}, CheckStatus::warning, "`ulimit -u 288`"},
      {{.cpu_s = {3600}}, {}, CheckStatus::warning, "`ulimit -t unlimited`"},
      {{.stack_bytes = {65536}}, {}, CheckStatus::warning, "`ulimit -s 8192`"},
      {{.locked_bytes = {65536}}, {}, CheckStatus::ok, ""},
      {{.locked_bytes = {65536}}, {.has_rdma = true}, CheckStatus::warning, "`ulimit -l unlimited`"},
      {{}, {.peak_bytes = 40 * kGiga}, CheckStatus::warning, "`ulimit -c 0`"},
      {{.core_bytes = {0}}, {.peak_bytes = 40 * kGiga}, CheckStatus::ok, ""},
  };
  for (const Case& one : cases) {
    const Finding found = judge_limits(one.limits, one.needs);
    EXPECT_EQ(found.status, one.status) << found.text;
    EXPECT_THAT(found.text, HasSubstr(one.text));
    EXPECT_EQ(found.code != ExitCode::done, one.status == CheckStatus::failed) << found.text;
  }
}

}  // namespace
}  // namespace athanor
