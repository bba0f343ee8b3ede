#include "preflight/run_place.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "base/text_file.h"
#include "preflight/link_speed.h"
#include "train/units_text.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// Network file systems show a new file at once, or within a second.
constexpr std::chrono::seconds kSettling{1};
constexpr std::chrono::milliseconds kBetweenLooks{20};
constexpr double kLong_s = 60;
constexpr std::uint64_t kFirstSyncBytes = std::uint64_t{4} << 20;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string word_of_chance() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

/// A new file that goes when this does.
class TrialFile {
 public:
  explicit TrialFile(const fs::path& folder) : path_(folder / fmt::format(".athanor-check-{}", word_of_chance())) {
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (descriptor_ < 0) fail("make");
  }
  ~TrialFile() {
    ::close(descriptor_);
    ::unlink(path_.c_str());
  }
  TrialFile(const TrialFile&) = delete;
  TrialFile& operator=(const TrialFile&) = delete;

  void write(const void* data, std::size_t bytes) {
    const char* from = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t written = ::write(descriptor_, from, bytes);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) fail("write");
      from += written;
      bytes -= static_cast<std::size_t>(written);
    }
  }
  void sync() {
    if (::fsync(descriptor_) != 0) fail("sync");
  }
  const fs::path& path() const { return path_; }

 private:
  [[noreturn]] void fail(const char* act) const {
    throw StorageError("cannot {} {}: {}; choose another folder with --run", act, path_.string(), std::strerror(errno));
  }

  fs::path path_;
  int descriptor_ = -1;
};

bool appears(const std::string& path, const std::string& word) {
  const Clock::time_point start = Clock::now();
  while (read_text(path) != word) {
    if (Clock::now() - start > kSettling) return false;
    std::this_thread::sleep_for(kBetweenLooks);
  }
  return true;
}

}  // namespace

fs::path existing_part(fs::path path) {
  std::error_code ignored;
  path = fs::absolute(path, ignored);
  while (!fs::exists(path, ignored) && path.has_parent_path() && path != path.parent_path()) path = path.parent_path();
  return path;
}

Finding check_shared(Communicator& communicator, const fs::path& folder) {
  constexpr const char* kName = "shared folder";
  const std::vector<int> firsts = first_ranks_of_hosts(communicator);
  const std::string word = broadcast_text(communicator, word_of_chance(), 0, kName);
  std::optional<TrialFile> file;
  std::string problem;
  if (communicator.rank() == 0) {
    try {
      file.emplace(folder);
      file->write(word.data(), word.size());
      file->sync();
    } catch (const StorageError& error) {
      problem = error.what();
    }
  }
  problem = broadcast_text(communicator, problem, 0, kName);
  const std::string path = broadcast_text(communicator, file ? file->path().string() : "", 0, kName);
  const bool looks = problem.empty() && std::count(firsts.begin(), firsts.end(), communicator.rank()) > 0;
  const bool sees = !looks || appears(path, word);
  const std::vector<std::string> seen = gather_texts(communicator, sees ? "yes" : "no", kName);
  if (!problem.empty()) return {problem, CheckStatus::failed, ExitCode::storage};
  const std::string place = fs::path(path).parent_path().string();
  std::string blind;
  for (const int rank : firsts) {
    if (seen[static_cast<std::size_t>(rank)] == "yes") continue;
    blind += fmt::format("{}{}", blind.empty() ? "" : ", ", communicator.host(rank));
  }
  if (firsts.size() == 1) return {fmt::format("{} is on this host, or shared: there is no other host to ask", place)};
  if (blind.empty()) {
    return {fmt::format("all {} see the same {}", plural(static_cast<std::int64_t>(firsts.size()), "host"), place)};
  }
  return {
      fmt::format("{} of {} is not the one of {}: only rank 0 writes there, so a run works, but one that is started "
                  "again with rank 0 elsewhere would not find its checkpoints: `--run` in a folder that all hosts "
                  "mount, or rank 0 always on {}",
                  place, communicator.host(0), blind, communicator.host(0)),
      CheckStatus::warning};
}

DiskSpeed measure_disk(const fs::path& folder, std::uint64_t bytes, double seconds) {
  // Not zeros, which some file systems do not write.
  std::vector<std::uint32_t> block(std::size_t{1} << 18);
  std::mt19937 random(std::random_device{}());
  std::generate(block.begin(), block.end(), std::ref(random));
  const std::uint64_t block_bytes = block.size() * sizeof block[0];
  TrialFile file(folder);
  DiskSpeed speed;
  const Clock::time_point start = Clock::now();
  // What was written lies in memory until it is synced: only then does a slow disk show, and stop this in time.
  std::uint64_t next_sync = kFirstSyncBytes;
  while (speed.bytes < bytes && seconds_since(start) < seconds) {
    const std::uint64_t part = std::min(block_bytes, bytes - speed.bytes);
    file.write(block.data(), part);
    speed.bytes += part;
    if (speed.bytes < next_sync) continue;
    file.sync();
    next_sync *= 2;
  }
  file.sync();
  speed.seconds = seconds_since(start);
  return speed;
}

Finding judge_disk(const fs::path& folder, const DiskSpeed& speed, std::uint64_t checkpoint_bytes) {
  std::string text = fmt::format("{}: {}/s to the disk ({} written and synced)", folder.string(),
                                 bytes_text(static_cast<std::uint64_t>(speed.bytes_per_s())), bytes_text(speed.bytes));
  if (checkpoint_bytes == 0) return {text};
  const double save_s = static_cast<double>(checkpoint_bytes) / speed.bytes_per_s();
  text += fmt::format("; a checkpoint of {} takes about {}, beside the training", bytes_text(checkpoint_bytes),
                      save_s < 0.1 ? "0.1 s" : duration_text(save_s));
  if (save_s <= kLong_s) return {text};
  return {text +
              ": `--run` on a faster disk, or leave more time between checkpoints (checkpoint.every_steps) and "
              "before a time limit",
          CheckStatus::warning};
}

}  // namespace athanor
