#include "backend/cpu/arena.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/error.h"

namespace athanor::cpu {
namespace {

constexpr std::size_t kBytes = (std::size_t{3} << 20) + 4;

std::size_t resident_pages(const ArenaMemory& arena) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> resident((arena.bytes() + page - 1) / page);
  EXPECT_EQ(mincore(arena.data(), arena.bytes(), resident.data()), 0);
  return static_cast<std::size_t>(
      std::count_if(resident.begin(), resident.end(), [](unsigned char flags) { return (flags & 1) != 0; }));
}

TEST(ArenaMemory, IsZeroedAndPageAligned) {
  const ArenaMemory arena(kBytes);
  EXPECT_EQ(arena.bytes(), kBytes);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena.data()) % static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE)), 0u);
  EXPECT_TRUE(std::all_of(arena.data(), arena.data() + kBytes, [](std::byte byte) { return byte == std::byte{0}; }));
  EXPECT_EQ(static_cast<void*>(arena.floats()), static_cast<void*>(arena.data()));
}

TEST(ArenaMemory, CanBeWrittenToItsLastByte) {
  const ArenaMemory arena(kBytes);
  std::fill_n(arena.floats(), kBytes / sizeof(float), 1.5f);
  EXPECT_EQ(arena.floats()[kBytes / sizeof(float) - 1], 1.5f);
}

TEST(ArenaMemory, PagesAreRealOnlyOnceTouched) {
  ArenaMemory arena(kBytes);
  EXPECT_EQ(resident_pages(arena), 0u);
  arena.touch();
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  EXPECT_EQ(resident_pages(arena), (kBytes + page - 1) / page);
}

TEST(ArenaMemory, MovingTakesTheMemoryAlong) {
  ArenaMemory first(kBytes);
  first.floats()[7] = 7.0f;
  const std::byte* data = first.data();
  ArenaMemory second(std::move(first));
  EXPECT_EQ(second.data(), data);
  EXPECT_EQ(second.bytes(), kBytes);
  EXPECT_EQ(first.data(), nullptr);
  EXPECT_EQ(first.bytes(), 0u);
  ArenaMemory third(64);
  third = std::move(second);
  EXPECT_EQ(third.data(), data);
  EXPECT_EQ(third.bytes(), kBytes);
  EXPECT_EQ(third.floats()[7], 7.0f);
}

TEST(ArenaMemory, NoBytesAreNoMemory) {
  ArenaMemory arena(0);
  EXPECT_EQ(arena.data(), nullptr);
  arena.touch();
  EXPECT_EQ(ArenaMemory().bytes(), 0u);
}

TEST(ArenaMemory, MoreThanThereIsIsADeviceError) {
  try {
    const ArenaMemory arena(std::size_t{1} << 60);
    FAIL() << "no DeviceError";
  } catch (const DeviceError& error) {
    EXPECT_EQ(error.code(), ExitCode::device);
    EXPECT_NE(std::string(error.what()).find("smaller batch"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace athanor::cpu
