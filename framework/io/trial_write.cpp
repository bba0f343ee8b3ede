#include "io/trial_write.h"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "io/durable_file.h"

namespace athanor {

namespace fs = std::filesystem;

void make_folder_durably(const fs::path& folder) {
  std::vector<fs::path> made;
  std::error_code error;
  for (fs::path above = folder; !above.empty() && !fs::exists(above, error); above = above.parent_path()) {
    made.push_back(above);
  }
  fs::create_directories(folder, error);
  if (error) {
    throw StorageError("cannot make the folder {}: {}; may you write there?", folder.string(), error.message());
  }
  // A new folder's name is in the one above it.
  for (const fs::path& path : made) sync_folder(path.has_parent_path() ? path.parent_path() : fs::path("."), path);
}

void want_free_space(const fs::path& folder, std::uint64_t bytes) {
  struct statvfs disk {};
  if (statvfs(folder.c_str(), &disk) != 0) {
    throw StorageError("cannot ask how much space is free at {}: {}", folder.string(), std::strerror(errno));
  }
  const std::uint64_t free_bytes = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  if (free_bytes >= bytes) return;
  constexpr double kMega = 1e6;
  throw StorageError(
      "the disk of {} has {:.1f} MB free, the checkpoints of this run need {:.1f} MB to begin; make room, or choose "
      "another "
      "folder with --run DIR",
      folder.string(), static_cast<double>(free_bytes) / kMega, static_cast<double>(bytes) / kMega);
}

namespace {

/// Of a run that died while it tried: ".trial-17.tmp", or what it is called before it is renamed.
void remove_old_trials(const fs::path& folder) {
  std::error_code ignored;
  for (fs::directory_iterator entry(folder, ignored), end; !ignored && entry != end; entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    const bool is_trial = name.starts_with(".trial-") || name.starts_with("..trial-");
    if (is_trial && name.ends_with(".tmp")) ::unlink(entry->path().c_str());
  }
}

}  // namespace

void try_writing(const fs::path& folder) {
  remove_old_trials(folder);
  const fs::path trial = folder / fmt::format(".trial-{}.tmp", getpid());
  DurableFile file(trial);
  file.append(std::array<std::byte, 512>{});
  file.sync_and_close();
  file.publish();
  if (::unlink(trial.c_str()) != 0) {
    throw StorageError("cannot remove {}: {}; may you write there?", trial.string(), std::strerror(errno));
  }
}

}  // namespace athanor
