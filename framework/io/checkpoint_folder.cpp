#include "io/checkpoint_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "io/damaged_checkpoint.h"
#include "io/trial_write.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kSuffix = ".h5";

/// What this program's writes are called until they are renamed; one that is there when a run starts is a dead run's.
bool is_leftover(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with('.') && name.ends_with(".tmp");
}

/// A folder that is not there is empty; one that cannot be read is not.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    entries.push_back(entry->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw StorageError("cannot list the checkpoints in {}: {}; is the disk healthy, and may you read there?",
                       folder.string(), error.message());
  }
  return entries;
}

/// Puts a damaged file out of the way without losing it; returns what was done, in words.
std::string set_aside(const fs::path& path) {
  fs::path aside = path;
  aside += ".corrupt";
  if (::rename(path.c_str(), aside.c_str()) == 0) return fmt::format("renamed to {}", aside.filename().string());
  return fmt::format("it cannot be renamed: {}", std::strerror(errno));
}

}  // namespace

std::int64_t CheckpointFolder::step_of(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return -1;
  const std::string_view digits =
      std::string_view(name).substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  std::int64_t step = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  return error == std::errc() && end == digits.data() + digits.size() && digits.front() != '-' ? step : -1;
}

fs::path CheckpointFolder::path_of(std::int64_t step) const {
  return path_ / fmt::format("{}{:09d}{}", kPrefix, step, kSuffix);
}

std::vector<fs::path> CheckpointFolder::list() const {
  std::vector<fs::path> found = entries_of(path_);
  std::erase_if(found, [](const fs::path& path) { return step_of(path) < 0; });
  std::sort(found.begin(), found.end(), [](const fs::path& a, const fs::path& b) { return step_of(a) > step_of(b); });
  return found;
}

void CheckpointFolder::prepare(std::uint64_t bytes) const {
  make_folder_durably(path_);
  for (const fs::path& entry : entries_of(path_)) {
    if (!is_leftover(entry) || ::unlink(entry.c_str()) == 0 || errno == ENOENT) continue;
    throw StorageError("cannot remove {}, which an earlier run left: {}; may you write there?", entry.string(),
                       std::strerror(errno));
  }
  want_free_space(path_, bytes);
  try_writing(path_);
}

std::optional<CheckpointFolder::Found> CheckpointFolder::newest_good() {
  notes_.clear();
  std::string passed_over;
  for (const fs::path& path : list()) {
    try {
      return Found{path, read_checkpoint(path), notes_};
    } catch (const DamagedCheckpoint& error) {
      notes_.push_back(fmt::format("{} ({})", error.what(), set_aside(path)));
    } catch (const StorageError& error) {
      notes_.emplace_back(error.what());
      if (passed_over.empty()) passed_over = error.what();
    }
  }
  if (!passed_over.empty()) throw StorageError("{} (and no older checkpoint verifies)", passed_over);
  return std::nullopt;
}

void CheckpointFolder::prune(std::int64_t keep, std::int64_t keep_every, std::optional<std::int64_t> best_step,
                             std::int64_t written) const {
  std::string failed;
  std::int64_t newer = 0;
  for (const fs::path& path : list()) {
    const std::int64_t step = step_of(path);
    if (step > written) continue;
    if (newer++ < std::max<std::int64_t>(1, keep) || step == best_step || (keep_every > 0 && step % keep_every == 0)) {
      continue;
    }
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
      failed = fmt::format("cannot remove the old checkpoint {}: {}; may you write there?", path.string(),
                           std::strerror(errno));
    }
  }
  if (!failed.empty()) throw StorageError(failed);
}

}  // namespace athanor
