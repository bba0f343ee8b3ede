// The real program under the real mpirun, in a folder of its own, and what it leaves behind. No job outlives its
// deadline.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/temporary_folder.h"

namespace athanor::mpirun_test {

namespace fs = std::filesystem;

/// Nothing may take longer; what does is ended.
inline constexpr int kDeadline_ms = 60'000;

struct Outcome {
  int code = -1;  ///< exit code; −signal when one ended it
  std::string out;
  std::string err;
};

/// Words of one command, or several that mpirun starts side by side.
using Words = std::vector<std::string>;

class Job {
 public:
  /// `mpirun -np RANKS athanor ARGUMENTS` in `home`; `ranks` 0: the program alone. What it prints goes to files beside
  /// `home`; where `err` is given, that is its standard error instead, and is not read again.
  Job(const fs::path& home, int ranks, const Words& arguments, const fs::path& err = {});
  /// `mpirun WORDS`.
  Job(const fs::path& home, const Words& words);
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  /// Waits to the end.
  Outcome wait();
  /// Waits until `happened`, asked again and again; false where the job ended or the deadline came first.
  bool wait_until(const std::function<bool()>& happened);
  bool has_ended();

  pid_t pid() const { return pid_; }
  /// The process of a rank; 0 where there is none.
  pid_t pid_of_rank(int rank) const;
  std::string err() const;

 private:
  void start(const Words& words);

  fs::path home_, given_err_;
  std::string name_;
  pid_t pid_ = 0;
  int pidfd_ = -1;
  bool reaped_ = false;
  int status_ = 0;
};

/// Runs it to its end.
Outcome run(const fs::path& home, int ranks, const Words& arguments);

std::string read_file(const fs::path& file);
void write_file(const fs::path& file, const std::string& text);
nlohmann::json summary_of(const fs::path& run);

/// Of metrics.jsonl: what training computed, line by line, without what depends on time: "step loss lr grad_norm" and
/// "eval split loss accuracy".
std::vector<std::string> results_of(const fs::path& run);
/// Lines of steps so far.
int steps_of(const fs::path& run);

/// A network that trains 8 steps an epoch in well under a second; `more`: further lines of YAML.
std::string tiny_recipe(const std::string& optimizer, const std::string& more = "");

}  // namespace athanor::mpirun_test
