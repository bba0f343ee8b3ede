// What the judges of `check --deep` say of clocks, data, memory and launchers that no test machine has.
#include <gmock/gmock.h>

#include <map>

#include "preflight/clock_offsets.h"
#include "preflight/data_on_hosts.h"
#include "preflight/host_memory.h"
#include "preflight/launcher_facts.h"

namespace athanor {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kHosts[] = {"a", "b", "c", "c"};

TEST(ClockOffsets, WithinASecondAreFine) {
  const ClockOffset close[] = {{1, 0.4, 0.001}, {2, -0.4, 0.002}};
  EXPECT_EQ(judge_clocks(close, kHosts).status, CheckStatus::ok);
  EXPECT_EQ(judge_clocks(close, kHosts).text, "at most 802 ms apart");
  EXPECT_EQ(judge_clocks({}, kHosts).status, CheckStatus::ok);
  // A slow network is no wrong clock.
  const ClockOffset slow[] = {{1, 1.5, 0.9}};
  EXPECT_EQ(judge_clocks(slow, kHosts).status, CheckStatus::ok);
}

TEST(ClockOffsets, TheOneThatIsWrongIsNamed) {
  const ClockOffset ahead[] = {{1, 0.01, 0.001}, {2, 3600, 0.001}};
  EXPECT_THAT(judge_clocks(ahead, kHosts).text,
              AllOf(HasSubstr("the clock of c is 3600.0 s ahead of that of a"), HasSubstr("there")));
  EXPECT_EQ(judge_clocks(ahead, kHosts).status, CheckStatus::warning);
  const ClockOffset first[] = {{1, 3600, 0.001}, {2, 3600.5, 0.001}};
  EXPECT_THAT(judge_clocks(first, kHosts).text, HasSubstr("the clock of a is 3600.5 s behind that of c"));
  const ClockOffset two[] = {{1, -60, 0.001}};
  EXPECT_THAT(judge_clocks(two, kHosts).text, HasSubstr("the one that is wrong"));
}

std::string files_text(const std::string& hash, const std::string& path = "/data/set/train.bin") {
  return text_of_files({{.path = path, .stamp = {}, .bytes = 30, .content_hash = hash},
                        {.path = "/data/set/my test.bin.gz", .stamp = {}, .bytes = 10, .content_hash = "77"}},
                       "print");
}

TEST(DataOnHosts, EqualContentIsFineWhereverItLies) {
  const std::string texts[] = {files_text("11"), files_text("11", "/elsewhere/train.bin.gz"), files_text("11")};
  const Finding found = judge_data(texts, kHosts);
  EXPECT_EQ(found.status, CheckStatus::ok) << found.text;
  EXPECT_THAT(found.text, HasSubstr("2 files"));
}

TEST(DataOnHosts, TheFewThatDifferAreNamedWithTheFile) {
  const std::string texts[] = {files_text("22"), files_text("11"), files_text("11"), files_text("11")};
  const Finding found = judge_data(texts, kHosts);
  EXPECT_EQ(found.status, CheckStatus::failed);
  EXPECT_EQ(found.code, ExitCode::data);
  EXPECT_THAT(found.text, AllOf(HasSubstr("on a (rank 0) /data/set/train.bin (30 bytes, hash 22"), HasSubstr("of b")));
  const std::string missing[] = {files_text("11"), text_of_files({}, "print")};
  EXPECT_EQ(judge_data(missing, kHosts).status, CheckStatus::failed);
}

TEST(DataOnHosts, ARankWithoutDataLeavesNothingToCompare) {
  const std::string texts[] = {files_text("11"), ""};
  EXPECT_EQ(judge_data(texts, kHosts).status, CheckStatus::skipped);
}

TEST(DataOnHosts, SetsThatAreMadeCompareTheirSettings) {
  const std::string alike[] = {text_of_files({}, "one"), text_of_files({}, "one")};
  EXPECT_EQ(judge_data(alike, kHosts).status, CheckStatus::ok);
  const std::string others[] = {text_of_files({}, "one"), text_of_files({}, "two")};
  EXPECT_EQ(judge_data(others, kHosts).status, CheckStatus::failed);
}

constexpr std::uint64_t kGiga = 1'000'000'000;

RankMemory memory(const std::string& host, std::uint64_t planned, std::uint64_t limit, std::uint64_t left) {
  return {host, planned * kGiga, planned * kGiga / 2, limit * kGiga, left * kGiga, "/sys/fs/cgroup/job 7"};
}

TEST(HostMemory, OfAllRanksOfAHostTogetherMustFitTheLimit) {
  const RankMemory fits[] = {memory("a", 4, 10, 9), memory("b", 4, 10, 9), memory("a", 4, 10, 9)};
  const Finding fine = judge_host_memory(fits);
  EXPECT_EQ(fine.status, CheckStatus::ok);
  EXPECT_THAT(fine.text, AllOf(HasSubstr("limit 10.0 GB (/sys/fs/cgroup/job 7)"), HasSubstr("hold 8.00 GB")));
  const RankMemory full[] = {memory("b", 6, 10, 9), memory("a", 6, 10, 9), memory("a", 6, 10, 9)};
  const Finding found = judge_host_memory(full);
  EXPECT_EQ(found.status, CheckStatus::failed);
  EXPECT_EQ(found.code, ExitCode::device);
  EXPECT_THAT(found.text, AllOf(HasSubstr("the 2 ranks on a will hold 12.0 GB"), HasSubstr("--mem=14G")));
}

TEST(HostMemory, ThatOthersUseIsAWarning) {
  const RankMemory busy[] = {memory("a", 6, 0, 2)};
  const Finding found = judge_host_memory(busy);
  EXPECT_EQ(found.status, CheckStatus::warning);
  EXPECT_THAT(found.text, HasSubstr("will take 3.00 GB more, and 2.00 GB are left"));
}

TEST(HostMemory, SurvivesBeingText) {
  const RankMemory want = memory("a", 4, 10, 9), got = memory_of_text(text_of_memory(want), "a");
  EXPECT_EQ(got.planned_bytes, want.planned_bytes);
  EXPECT_EQ(got.to_come_bytes, want.to_come_bytes);
  EXPECT_EQ(got.limit_bytes, want.limit_bytes);
  EXPECT_EQ(got.left_bytes, want.left_bytes);
  EXPECT_EQ(got.group, want.group);
}

Finding launched(const std::map<std::string, std::string>& variables, int ranks) {
  return judge_launcher(
      [&](const char* name) {
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second.c_str();
      },
      ranks);
}

TEST(LauncherFacts, NameTheLauncherAndPmix) {
  EXPECT_EQ(launched({{"OMPI_COMM_WORLD_SIZE", "4"}, {"PMIX_RANK", "0"}, {"PMIX_VERSION", "4.2.2"}}, 4).text,
            "mpirun, 4 ranks, PMIx 4.2.2");
  EXPECT_EQ(launched({{"PMIX_RANK", "0"}, {"SLURM_JOB_ID", "17"}, {"SLURM_NTASKS", "8"}}, 8).text,
            "srun in Slurm job 17, 8 ranks, PMIx");
  EXPECT_EQ(launched({}, 1).status, CheckStatus::ok);
}

TEST(LauncherFacts, WarnOfOneProcessWhereSeveralWereMeant) {
  const Finding alone = launched({{"SLURM_JOB_ID", "17"}, {"SLURM_NTASKS", "8"}}, 1);
  EXPECT_EQ(alone.status, CheckStatus::warning);
  EXPECT_THAT(alone.text, HasSubstr("--mpi=pmix"));
  EXPECT_EQ(launched({{"PMI_RANK", "0"}}, 1).status, CheckStatus::warning);
}

}  // namespace
}  // namespace athanor
