#include "base/log.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"

namespace athanor {
namespace {

class Log : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "athanor-log-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    console_ = std::fopen((folder_ / "console").c_str(), "w");
    log_to_console(console_);
  }
  void TearDown() override {
    log_to_console(stderr);
    log_through({});
    close_log_file();
    set_log_prefix("");
    std::fclose(console_);
    std::filesystem::remove_all(folder_);
  }
  std::string text_of(const char* name) const {
    std::ifstream in(folder_ / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::filesystem::path folder_;
  std::FILE* console_ = nullptr;
};

TEST_F(Log, MessagesReachTheConsoleAndTheFileWithTheTime) {
  write_atomically(folder_ / "log.txt", "earlier\n");
  log_to_file(folder_ / "log.txt");
  log_info("step {}", 7);
  set_log_prefix("rank 3");
  log_warning("slow {{}}");
  close_log_file();
  log_error("{}", "not in the file");
  EXPECT_EQ(text_of("console"), "step 7\nrank 3: warning: slow {}\nrank 3: error: not in the file\n");
  const std::string time = R"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} )";
  EXPECT_TRUE(std::regex_match(text_of("log.txt"), std::regex("earlier\n" + time + "info step 7\n" + time +
                                                              R"(warning rank 3: slow \{\})" + "\n")))
      << text_of("log.txt");
}

TEST_F(Log, AProgressBarMayPrintTheLines) {
  std::vector<std::string> lines;
  log_through([&](std::string_view line) { lines.emplace_back(line); });
  log_warning("{}", 1);
  log_through({});
  log_info("two");
  EXPECT_EQ(lines, std::vector<std::string>{"warning: 1"});
  EXPECT_EQ(text_of("console"), "two\n");
}

TEST_F(Log, AFileThatCannotBeOpenedIsAStorageError) {
  write_atomically(folder_ / "taken", "x");
  EXPECT_THROW(log_to_file(folder_ / "taken" / "log.txt"), StorageError);
}

}  // namespace
}  // namespace athanor
