// Runs the real program in a folder of its own, as a user does, and keeps what it prints.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "support/temporary_folder.h"

namespace athanor::launcher_test {

namespace fs = std::filesystem;

/// Two folders that go away with the test: `home`, where the program runs, and another for what it prints.
class Folders {
 public:
  Folders() { fs::create_directories(home()); }

  fs::path home() const { return root_ / "home"; }
  fs::path out() const { return root_ / "out"; }
  fs::path err() const { return root_ / "err"; }

 private:
  testing::TemporaryFolder root_;
};

inline std::string read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_text(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

struct Outcome {
  int code = -1;  ///< exit code; −signal when one ended it
  std::string out;
  std::string err;

  /// The last line of standard output.
  nlohmann::json json() const {
    const std::size_t end = out.find_last_not_of('\n');
    const std::size_t begin = out.rfind('\n', end);
    return nlohmann::json::parse(out.substr(begin == std::string::npos ? 0 : begin + 1), nullptr, false);
  }
};

/// Starts `athanor ARGUMENTS` in folders.home(); with an ATHANOR_DATA of its own, `data`, which may not exist.
inline pid_t start_program(const Folders& folders, const std::vector<std::string>& arguments, const fs::path& data) {
  std::vector<std::string> words{ATHANOR_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string home = folders.home().string(), out = folders.out().string(), err = folders.err().string();
  const std::string root = data.string();
  const pid_t child = fork();
  if (child != 0) return child;
  // A program started in the background by a shell ignores SIGINT; the one under test must not.
  signal(SIGINT, SIG_DFL);
  setenv("ATHANOR_DATA", root.c_str(), 1);
  if (chdir(home.c_str()) != 0) _exit(99);
  dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
  dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
  execv(ATHANOR_PROGRAM, argv.data());
  _exit(98);
}

inline Outcome outcome_of(const Folders& folders, int status) {
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read_file(folders.out()),
          read_file(folders.err())};
}

/// Runs it to its end.
inline Outcome run_program(const Folders& folders, const std::vector<std::string>& arguments,
                           const fs::path& data = "/no-such-folder") {
  const pid_t child = start_program(folders, arguments, data);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return outcome_of(folders, status);
}

/// Everything below a folder, sorted.
inline std::vector<std::string> files_below(const fs::path& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    files.push_back(entry.path().lexically_relative(folder).string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// A network that trains in a second.
inline const std::string kTiny = R"(name: tiny
data: {name: glyphs, train_size: 640, test_size: 203}
model: {name: alchemy_net, classes: 10}
train: {epochs: 2, batch: 32, shards: 2, shard_threads: 1}
optimizer: {name: sgd, lr: 0.05}
eval: {batch: 50}
)";

/// kTiny with one piece of text replaced by another; the piece must be there.
inline std::string tiny_with(const std::string& from, const std::string& to) {
  std::string text = kTiny;
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

}  // namespace athanor::launcher_test
