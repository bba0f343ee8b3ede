#include "mpirun/job.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <iterator>
#include <sstream>

namespace athanor::mpirun_test {
namespace {

using Clock = std::chrono::steady_clock;

std::string mpirun() {
  return ATHANOR_SOURCE_DIR "/tests/distributed/mpirun";
}

}  // namespace

Job::Job(const fs::path& home, int ranks, const Words& arguments, const fs::path& err) : home_(home), given_err_(err) {
  Words words;
  if (ranks > 0) words = {mpirun(), "-np", std::to_string(ranks)};
  words.emplace_back(ATHANOR_PROGRAM);
  words.insert(words.end(), arguments.begin(), arguments.end());
  start(words);
}

Job::Job(const fs::path& home, const Words& arguments) : home_(home) {
  Words words{mpirun()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  start(words);
}

void Job::start(const Words& words) {
  static std::atomic<int> counter{0};
  name_ = "job" + std::to_string(counter++);
  fs::create_directories(home_);
  Words copies = words;
  std::vector<char*> argv;
  for (std::string& word : copies) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string home = home_.string(), out = home + "/../" + name_ + ".out";
  const std::string err = given_err_.empty() ? home + "/../" + name_ + ".err" : given_err_.string();
  pid_ = fork();
  if (pid_ == 0) {
    setsid();
    signal(SIGINT, SIG_DFL);
    if (chdir(home.c_str()) != 0) _exit(99);
    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
    dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(98);
  }
  pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
}

Job::~Job() {
  if (!reaped_) {
    kill(-pid_, SIGKILL);
    waitpid(pid_, &status_, 0);
  }
  close(pidfd_);
}

bool Job::has_ended() {
  pollfd ended{pidfd_, POLLIN, 0};
  return poll(&ended, 1, 0) == 1;
}

Outcome Job::wait() {
  pollfd ended{pidfd_, POLLIN, 0};
  if (poll(&ended, 1, kDeadline_ms) != 1) {
    ADD_FAILURE() << "the job hangs";
    kill(-pid_, SIGKILL);
  }
  waitpid(pid_, &status_, 0);
  reaped_ = true;
  return {WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_),
          read_file(home_.parent_path() / (name_ + ".out")), err()};
}

bool Job::wait_until(const std::function<bool()>& happened) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(kDeadline_ms);
  pollfd ended{pidfd_, POLLIN, 0};
  while (Clock::now() < deadline) {
    if (happened()) return true;
    if (poll(&ended, 1, 2) == 1) return happened();
  }
  return false;
}

std::string Job::err() const {
  return given_err_.empty() ? read_file(home_.parent_path() / (name_ + ".err")) : "";
}

pid_t Job::pid_of_rank(int rank) const {
  const std::string wanted = "OMPI_COMM_WORLD_RANK=" + std::to_string(rank);
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const pid_t pid = std::stoi(name);
    std::istringstream variables(read_file(entry.path() / "environ"));
    bool is_rank = false, is_here = false;
    for (std::string variable; std::getline(variables, variable, '\0');) {
      is_rank |= variable == wanted;
      is_here |= variable == "PWD=" + home_.string() || variable == "OMPI_MCA_initial_wdir=" + home_.string();
    }
    if (is_rank && is_here) return pid;
  }
  return 0;
}

Outcome run(const fs::path& home, int ranks, const Words& arguments) {
  return Job(home, ranks, arguments).wait();
}

std::string read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

nlohmann::json summary_of(const fs::path& run) {
  return nlohmann::json::parse(read_file(run / "summary.json"), nullptr, false);
}

std::vector<std::string> results_of(const fs::path& run) {
  std::vector<std::string> results;
  std::istringstream lines(read_file(run / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
    if (json.value("kind", "") == "train") {
      results.push_back(nlohmann::json{json.at("step"), json.at("loss"), json.at("lr"), json.at("grad_norm")}.dump());
    } else if (json.value("kind", "") == "eval") {
      results.push_back(
          nlohmann::json{json.at("step"), json.at("split"), json.at("loss"), json.at("accuracy"), json.at("samples")}
              .dump());
    }
  }
  return results;
}

int steps_of(const fs::path& run) {
  int steps = 0;
  std::istringstream lines(read_file(run / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) steps += line.find("\"kind\":\"train\"") != std::string::npos;
  return steps;
}

std::string tiny_recipe(const std::string& optimizer, const std::string& more) {
  return "name: tiny\n"
         "data: {name: glyphs, train_size: 192, test_size: 61, side: 16, augment: [{random_crop: {padding: 2}}, "
         "horizontal_flip]}\n"
         "model: {name: cifar_resnet, depth: 8, width: 4, classes: 10}\n"
         "train: {epochs: 2, batch: 24, shards: 8, shard_threads: 1}\n"
         "eval: {batch: 24}\n"
         "optimizer: " +
         optimizer + "\n" + more;
}

}  // namespace athanor::mpirun_test
