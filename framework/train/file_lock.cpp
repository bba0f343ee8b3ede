#include "train/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/host_name.h"

namespace athanor {
namespace {

std::string holder_of(int descriptor) {
  std::array<char, 300> text{};
  const ssize_t length = ::pread(descriptor, text.data(), text.size(), 0);
  std::string holder(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  holder.erase(std::min(holder.find('\n'), holder.size()));
  return holder.empty() ? "another process" : holder;
}

std::string own_name() {
  return fmt::format("pid {} on {}\n", ::getpid(), host_name());
}

/// "pid 12 on node1" of a process that lives, on this host: no file server lags behind.
bool is_alive_here(const std::string& holder) {
  int pid = 0;
  std::array<char, 256> host{};
  return std::sscanf(holder.c_str(), "pid %d on %255s", &pid, host.data()) == 2 && host_name() == host.data() &&
         pid > 0 && (::kill(pid, 0) == 0 || errno == EPERM);
}

/// Whether it is locked now; else errno says why not. Asks again and again: flock itself would wait past any request to
/// stop.
bool lock(int descriptor, const std::filesystem::path& folder, const LockPatience& patience) {
  constexpr std::chrono::milliseconds kAgain{100};
  constexpr double kEnding_s = 10;  // for a process that is about to end
  const auto start = std::chrono::steady_clock::now();
  for (bool is_told = false;; std::this_thread::sleep_for(kAgain)) {
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return true;
    const int error = errno;
    const bool is_held = error == EWOULDBLOCK || error == EINTR;
    const std::string holder = holder_of(descriptor);
    const double most_s = is_alive_here(holder) ? std::min(patience.most_s, kEnding_s) : patience.most_s;
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - start;
    const bool is_over = waited.count() >= most_s || (patience.gives_up && patience.gives_up());
    if (is_held && !is_over && !std::exchange(is_told, true) && patience.tell) {
      patience.tell(fmt::format("{} is in use by {}; waiting up to {:.0f} s for it", folder.string(), holder, most_s));
    }
    errno = error;
    if (!is_held || is_over) return false;
  }
}

}  // namespace

FileLock::FileLock(const std::filesystem::path& file, const LockPatience& patience) {
  descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    throw StorageError("cannot write {}: {}; choose another folder with --run", file.string(), std::strerror(errno));
  }
  if (!lock(descriptor_, file.parent_path(), patience)) {
    const int error = errno;
    const std::string holder = holder_of(descriptor_);
    ::close(std::exchange(descriptor_, -1));
    if (error == EWOULDBLOCK) {
      throw StorageError("{} is in use by {}; wait for it, or choose another folder with --run",
                         file.parent_path().string(), holder);
    }
    throw StorageError("cannot lock {}: {}", file.string(), std::strerror(error));
  }
  const std::string name = own_name();
  if (::ftruncate(descriptor_, 0) != 0 || ::pwrite(descriptor_, name.data(), name.size(), 0) < 0) {
    const int error = errno;
    ::close(std::exchange(descriptor_, -1));
    throw StorageError("cannot write {}: {}", file.string(), std::strerror(error));
  }
}

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

FileLock::~FileLock() {
  // The file stays: removing it would let two processes lock two files of the same name.
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace athanor
