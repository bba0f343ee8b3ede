#include "train/hardware.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "train/control_groups.h"
#include "train/folders.h"

namespace athanor {
namespace {

using testing::TemporaryFolder;
using testing::write_file;

constexpr std::size_t kMebibyte = std::size_t{1} << 20;

TEST(Hardware, ThisMachineHasAProcessorAndMemory) {
  const Hardware hardware = probe_hardware();
  EXPECT_FALSE(hardware.cpu_model.empty());
  EXPECT_FALSE(hardware.host.empty());
  EXPECT_GE(hardware.allowed_cpus, 1);
  EXPECT_LE(hardware.allowed_cpus, static_cast<int>(allowed_cpu_ids().size()));
  EXPECT_GT(hardware.memory_available_bytes, kMebibyte);
  EXPECT_LT(hardware.memory_available_bytes, std::size_t{1} << 50);
  EXPECT_TRUE(hardware.isa == "baseline" || hardware.isa == "avx2" || hardware.isa == "avx512") << hardware.isa;
}

TEST(Hardware, WithoutAControlGroupTheMachineIsTheLimit) {
  const TemporaryFolder root;
  write_file(root.path() / "proc/meminfo", "MemTotal:  2048000 kB\nMemAvailable:  1024 kB\n");
  write_file(root.path() / "proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n");
  const Hardware hardware = probe_hardware(root.path());
  EXPECT_EQ(hardware.cpu_model, "Some CPU @ 2 GHz");
  EXPECT_EQ(hardware.memory_available_bytes, kMebibyte);
  EXPECT_EQ(hardware.allowed_cpus, static_cast<int>(allowed_cpu_ids().size()));
}

TEST(Hardware, TheTightestGroupAboveUsCounts) {
  const TemporaryFolder root;
  write_file(root.path() / "proc/meminfo", "MemAvailable: 1048576 kB\n");
  write_file(root.path() / "proc/self/cgroup", "0::/slurm/job7\n");
  const auto groups = root.path() / "sys/fs/cgroup";
  write_file(groups / "slurm/job7/memory.max", "max\n");
  write_file(groups / "slurm/job7/cpu.max", "max 100000\n");
  write_file(groups / "slurm/memory.max", std::to_string(500 * kMebibyte));
  write_file(groups / "slurm/memory.current", std::to_string(300 * kMebibyte));
  write_file(groups / "slurm/memory.stat",
             "anon 1\nactive_file 7\ninactive_file " + std::to_string(100 * kMebibyte) + "\n");
  write_file(groups / "slurm/cpu.max", "50000 100000\n");
  const Hardware hardware = probe_hardware(root.path());
  EXPECT_EQ(hardware.memory_available_bytes, 300 * kMebibyte);
  EXPECT_EQ(hardware.allowed_cpus, 1);
}

TEST(Hardware, VersionOneGroupsCountAlsoWhereOnlyTheirMountIsVisible) {
  const TemporaryFolder root;
  write_file(root.path() / "proc/meminfo", "MemAvailable: 1048576 kB\n");
  write_file(root.path() / "proc/self/cgroup", "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n");
  const auto groups = root.path() / "sys/fs/cgroup";
  write_file(groups / "memory/memory.limit_in_bytes", std::to_string(64 * kMebibyte));
  write_file(groups / "memory/memory.usage_in_bytes", std::to_string(24 * kMebibyte));
  write_file(groups / "cpu/cpu.cfs_quota_us", "-1\n");
  write_file(groups / "cpu/cpu.cfs_period_us", "100000\n");
  const Hardware hardware = probe_hardware(root.path());
  EXPECT_EQ(hardware.memory_available_bytes, 40 * kMebibyte);
  EXPECT_EQ(hardware.allowed_cpus, static_cast<int>(allowed_cpu_ids().size()));
}

TEST(Hardware, CpuListsAreShort) {
  EXPECT_EQ(cpu_list_text({0}), "0");
  EXPECT_EQ(cpu_list_text({0, 1, 2, 3, 8, 10, 11}), "0-3,8,10-11");
}

TEST(Hardware, BindingFollowsTheAffinityMask) {
  const auto cpus = allowed_cpu_ids();
  if (cpus.size() < 2) GTEST_SKIP() << "needs two cpus";
  const pid_t child = fork();
  if (child == 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpus.back(), &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) _exit(1);
    const std::string text = binding_text();
    const bool right = text.starts_with("cpu " + std::to_string(cpus.back()) + " of ") && text.ends_with("outside");
    _exit(right && probe_hardware().allowed_cpus == 1 ? 0 : 2);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(ControlGroups, TheTightestLimitIsNamedAndNoLimitIsNone) {
  const TemporaryFolder root;
  write_file(root.path() / "proc/self/cgroup", "0::/slurm/job7\n");
  const auto groups = root.path() / "sys/fs/cgroup";
  write_file(groups / "memory.max", std::to_string(900 * kMebibyte));
  write_file(groups / "slurm/memory.max", std::to_string(500 * kMebibyte));
  write_file(groups / "slurm/memory.current", std::to_string(100 * kMebibyte));
  const auto limit = tightest_memory_limit(root.path());
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->group, groups / "slurm");
  EXPECT_EQ(limit->limit_bytes, 500 * kMebibyte);
  EXPECT_EQ(limit->left_bytes, 400 * kMebibyte);
  const TemporaryFolder other;
  write_file(other.path() / "proc/self/cgroup", "5:memory:/x\n");
  write_file(other.path() / "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_FALSE(tightest_memory_limit(other.path()));
}

TEST(ControlGroups, ACpusetIsCounted) {
  const TemporaryFolder root;
  write_file(root.path() / "proc/self/cgroup", "0::/job\n");
  EXPECT_FALSE(cpuset_size(root.path()));
  write_file(root.path() / "sys/fs/cgroup/cpuset.cpus.effective", "0-63\n");
  write_file(root.path() / "sys/fs/cgroup/job/cpuset.cpus.effective", "0-3,8,10-11\n");
  EXPECT_EQ(cpuset_size(root.path()), 7);
}

}  // namespace
}  // namespace athanor
