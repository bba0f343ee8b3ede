#include "train/progress.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "train/folders.h"

namespace athanor {
namespace {

using std::chrono::milliseconds;

/// Time passes when a test says so.
Progress::Clock::time_point now{};
Progress::Clock::time_point read_clock() {
  return now;
}

StepLine step_line(std::int64_t step) {
  return {.step = step,
          .epoch = 1 + (step - 1) / 100,
          .loss = 0.5,
          .images_per_s = 1000,
          .step_ms = 100,
          .data_wait_ms = 25};
}

/// Steps of 100 ms.
void train(Progress& progress, std::int64_t from, std::int64_t to) {
  for (std::int64_t step = from; step <= to; ++step) {
    now += milliseconds(100);
    progress.step(step_line(step));
  }
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find(at, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

class PlainProgress : public ::testing::Test {
 protected:
  /// What was printed so far.
  std::vector<std::string> lines() {
    std::fflush(file_);
    return split(testing::read_file(folder_.path() / "out"), '\n');
  }

  testing::TemporaryFolder folder_;
  std::FILE* file_ = std::fopen((folder_.path() / "out").c_str(), "w");
};

TEST_F(PlainProgress, LinesComeRarerAndAtEveryEpochEnd) {
  {
    Progress progress(false, file_, 100000, 50000, 2);
    progress.set_clock(read_clock);
    train(progress, 1, 101);
    ASSERT_EQ(lines().size(), 1u) << "one after ten seconds";
    train(progress, 102, 251);
    ASSERT_EQ(lines().size(), 2u) << "the next after fifteen";
    train(progress, 252, 6251);
    EXPECT_LE(lines().size(), 2u + 14) << "then up to a minute apart";
    EXPECT_GE(lines().size(), 2u + 10);
    const auto before = lines().size();
    train(progress, 49999, 50001);
    EXPECT_EQ(lines().size(), before + 1) << "an epoch ended";
  }
  const std::string first = lines().front();
  EXPECT_EQ(first, "epoch 2/2  step 101/100000  loss 0.5000  1,000 images/s  data wait 25.0 %  left 2 h 46 min");
  for (const std::string& line : lines()) EXPECT_EQ(line.find_first_of("\r\x1b"), std::string::npos) << line;
  std::fclose(file_);
}

TEST_F(PlainProgress, EvaluationsAndNotesAreLines) {
  Progress progress(false, file_, 200, 100, 2);
  progress.set_clock(read_clock);
  train(progress, 1, 100);
  progress.evaluation({.step = 100, .epoch = 1, .split = "test", .loss = 0.25, .accuracy = 0.9125, .samples = 10000});
  progress.note("the loader is slow");
  train(progress, 101, 200);
  progress.finish();
  const auto printed = lines();
  ASSERT_EQ(printed.size(), 4u);
  EXPECT_EQ(printed[1], "epoch 1/2  test loss 0.2500, accuracy 91.25 % of 10,000 images");
  EXPECT_EQ(printed[2], "the loader is slow");
  EXPECT_NE(printed[3].find("accuracy 91.25 %"), std::string::npos);
  EXPECT_NE(printed[3].find("left 0.0 s"), std::string::npos);
  std::fclose(file_);
}

/// A real pseudo-terminal of a given width.
class TerminalProgress : public ::testing::Test {
 protected:
  void open(unsigned short columns) {
    winsize size{.ws_row = 24, .ws_col = columns};
    ASSERT_EQ(openpty(&master_, &slave_, nullptr, nullptr, &size), 0);
    file_ = fdopen(slave_, "w");
  }
  /// Everything printed since the last call. The kernel hands bytes over when it has time, so an end mark follows them.
  std::string printed() {
    constexpr char kEnd = '\x01';
    std::fputc(kEnd, file_);
    std::fflush(file_);
    std::string text;
    for (pollfd ready{.fd = master_, .events = POLLIN, .revents = 0}; poll(&ready, 1, 10000) == 1;) {
      std::array<char, 4096> part;
      const ssize_t length = read(master_, part.data(), part.size());
      if (length <= 0) break;
      text.append(part.data(), static_cast<std::size_t>(length));
      if (text.back() != kEnd) continue;
      text.pop_back();
      return text;
    }
    ADD_FAILURE() << "the terminal gave no end mark";
    return text;
  }
  void TearDown() override {
    if (file_ != nullptr) std::fclose(file_);
    if (master_ >= 0) close(master_);
    unsetenv("NO_COLOR");
  }

  int master_ = -1, slave_ = -1;
  std::FILE* file_ = nullptr;
};

/// Columns that a drawn line takes: what stands between carriage return and escape codes.
std::size_t columns(const std::string& drawn) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    if (drawn[i] == '\x1b') {
      i = drawn.find_first_of("mK", i);
    } else if (drawn[i] != '\r') {
      ++count;
    }
  }
  return count;
}

TEST_F(TerminalProgress, ATerminalIsToldFromAFile) {
  open(80);
  setenv("TERM", "xterm", 1);
  EXPECT_TRUE(is_terminal(file_));
  setenv("TERM", "dumb", 1);
  EXPECT_FALSE(is_terminal(file_));
  const testing::TemporaryFolder folder;
  std::FILE* const plain = std::fopen((folder.path() / "out").c_str(), "w");
  setenv("TERM", "xterm", 1);
  EXPECT_FALSE(is_terminal(plain));
  std::fclose(plain);
}

TEST_F(TerminalProgress, OneLineIsRedrawnAtMostTenTimesASecond) {
  open(120);
  Progress progress(true, file_, 1000, 100, 10);
  progress.set_clock(read_clock);
  for (std::int64_t step = 1; step <= 500; ++step) {
    now += milliseconds(2);
    progress.step(step_line(step));
  }
  const std::string text = printed();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\r'), 10) << "in one second";
  EXPECT_EQ(text.find('\n'), std::string::npos);
  const std::string last = text.substr(text.rfind('\r'));
  for (const char* part : {"epoch 5/10", "loss 0.5000", "1,000 images/s", "wait 25.0 %", "left 1.1 s", "["}) {
    EXPECT_NE(last.find(part), std::string::npos) << part << " in " << last;
  }
}

TEST_F(TerminalProgress, NarrowTerminalsGetAShorterLine) {
  for (const unsigned short width : {20, 34, 47, 60, 80, 100, 200}) {
    open(width);
    {
      Progress progress(true, file_, 1000, 100, 10);
      progress.set_clock(read_clock);
      progress.evaluation({.accuracy = 0.5});
      printed();
      progress.step(step_line(500));
      const std::string drawn = printed();
      EXPECT_LT(columns(drawn), width) << drawn;
      EXPECT_NE(drawn.find("epoch 5/10"), std::string::npos) << drawn;
    }
    TearDown();
    file_ = nullptr;
    master_ = -1;
  }
}

TEST_F(TerminalProgress, NotesStandAboveTheBar) {
  open(100);
  Progress progress(true, file_, 1000, 100, 10);
  progress.set_clock(read_clock);
  progress.step(step_line(1));
  printed();
  progress.note("hello");
  const std::string text = printed();
  EXPECT_EQ(text.rfind("\r\x1b[Khello\r\n", 0), 0u) << text;
  EXPECT_NE(text.find("epoch 1/10"), std::string::npos);
  progress.finish();
  const std::string end = printed();
  EXPECT_EQ(end.substr(end.size() - 2), "\r\n");
  progress.finish();
  EXPECT_EQ(printed(), "");
}

TEST_F(TerminalProgress, NoColorIsRespected) {
  for (const bool colour : {true, false}) {
    unsetenv("NO_COLOR");
    if (!colour) setenv("NO_COLOR", "1", 1);
    open(100);
    {
      Progress progress(true, file_, 1000, 100, 10);
      progress.step(step_line(500));
      EXPECT_EQ(printed().find("\x1b[36m") != std::string::npos, colour);
    }
    TearDown();
    file_ = nullptr;
    master_ = -1;
  }
}

}  // namespace
}  // namespace athanor
