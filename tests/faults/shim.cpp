// Preloaded (LD_PRELOAD) into a program, this fails its k-th call on the files of one folder, or writes all of them
// down. Counted are: open for writing, write, pwrite, ftruncate, fsync, fdatasync, sync_file_range, rename, unlink,
// remove.
//
//   ATHANOR_FAULT_FOLDER  the folder (absolute); files below it count
//   ATHANOR_FAULT_AT      which call fails, from 1; unset: none
//   ATHANOR_FAULT_DO      kill: the process dies before the call
//                         torn: it dies after the call, or in the middle of it where it writes
//                         enospc, eio: the call fails with this error, and does nothing
//                         short: a write takes half of what it was given
//                         slow: this call and all that follow take a quarter of a second longer
//   ATHANOR_FAULT_TRACE   a file for the events of trace.h, appended to
//
// What the C library calls inside itself (fwrite's write) is not seen.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>

#include "trace.h"

namespace {

using athanor::faults::EventHead;
using athanor::faults::EventKind;

enum class Fault { none, kill, torn, enospc, eio, short_write, slow };

constexpr useconds_t kSlow_us = 250'000;

Fault fault_called(std::string_view name) {
  if (name == "kill") return Fault::kill;
  if (name == "torn") return Fault::torn;
  if (name == "enospc") return Fault::enospc;
  if (name == "eio") return Fault::eio;
  if (name == "short") return Fault::short_write;
  if (name == "slow") return Fault::slow;
  return Fault::none;
}

std::string variable(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

/// What is known of an open descriptor.
struct OpenFile {
  enum Kind { unknown, file, folder } kind = unknown;
  std::uint32_t number = 0;
  std::string name;
};

class Shim {
 public:
  Shim() : folder_(variable("ATHANOR_FAULT_FOLDER")), fault_(fault_called(variable("ATHANOR_FAULT_DO"))) {
    at_ = std::atol(variable("ATHANOR_FAULT_AT").c_str());
    const std::string trace = variable("ATHANOR_FAULT_TRACE");
    // By number, so that nothing of the shim's own passes through the shim.
    if (!trace.empty())
      trace_ = static_cast<int>(
          syscall(SYS_openat, AT_FDCWD, trace.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  }

  /// Whether `path` lies in the folder; its name there.
  bool watches(int at, const char* path, std::string& name) const {
    if (folder_.empty() || path == nullptr) return false;
    std::string full = path;
    if (full.front() != '/') {
      std::array<char, PATH_MAX> base{};
      const std::string link = at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/" + std::to_string(at);
      if (readlink(link.c_str(), base.data(), base.size() - 1) < 0) return false;
      full = std::string(base.data()) + '/' + full;
    }
    while (full.size() > 1 && full.back() == '/') full.pop_back();
    if (full == folder_) {
      name.clear();
      return true;
    }
    if (full.compare(0, folder_.size(), folder_) != 0 || full[folder_.size()] != '/') return false;
    name = full.substr(folder_.size() + 1);
    return true;
  }

  OpenFile& file(int fd) {
    static OpenFile nothing;
    return fd >= 0 && static_cast<std::size_t>(fd) < files_.size() ? files_[static_cast<std::size_t>(fd)] : nothing;
  }

  void opened(int fd, const std::string& name, bool for_writing, bool is_folder) {
    if (fd < 0) return;
    OpenFile& known = file(fd);
    known = {is_folder ? OpenFile::folder : OpenFile::file, for_writing ? ++opens_ : 0, name};
  }

  /// The fault for the call that is about to be made, if its turn has come. Does not return where it is death.
  Fault count() {
    ++calls_;
    if (fault_ == Fault::slow && at_ > 0 && calls_ >= at_) {
      usleep(kSlow_us);
      return Fault::none;
    }
    if (calls_ != at_) return Fault::none;
    if (fault_ == Fault::kill) die();
    return fault_;
  }

  /// Counts, then makes the call or fails it. `make` returns what the call returns; `note` writes it down.
  template <typename Make, typename Note>
  auto around(Make&& make, Note&& note) -> decltype(make()) {
    const Fault fault = count();
    if (fault == Fault::enospc || fault == Fault::eio) {
      errno = fault == Fault::enospc ? ENOSPC : EIO;
      return -1;
    }
    const auto result = make();
    const int error = errno;
    if (result >= 0) note(result);
    if (fault == Fault::torn) die();
    errno = error;
    return result;
  }

  /// A write: the only call that can be done by halves. `make(bytes)` writes as many.
  template <typename Make>
  ssize_t around_write(int fd, const void* bytes, size_t size, off_t offset, Make&& make) {
    const Fault fault = count();
    if (fault == Fault::enospc || fault == Fault::eio) {
      errno = fault == Fault::enospc ? ENOSPC : EIO;
      return -1;
    }
    const bool by_halves = fault == Fault::torn || fault == Fault::short_write;
    const ssize_t written = make(by_halves && size > 1 ? size / 2 : size);
    const int error = errno;
    if (written > 0) {
      note(EventKind::write, file(fd).number, static_cast<std::uint64_t>(offset),
           {static_cast<const char*>(bytes), static_cast<size_t>(written)});
    }
    if (fault == Fault::torn) die();
    errno = error;
    return written;
  }

  void note(EventKind kind, std::uint32_t number, std::uint64_t offset, std::string_view bytes) const {
    if (trace_ < 0) return;
    const EventHead head{kind, number, offset, bytes.size()};
    put({reinterpret_cast<const char*>(&head), sizeof head});
    put(bytes);
  }

  std::recursive_mutex mutex;

 private:
  void put(std::string_view bytes) const {
    while (!bytes.empty()) {
      const long written = syscall(SYS_write, trace_, bytes.data(), bytes.size());
      if (written <= 0) abort();
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  }

  [[noreturn]] static void die() {
    ::kill(getpid(), SIGKILL);
    while (true) pause();
  }

  std::string folder_;
  Fault fault_;
  long at_ = 0;
  long calls_ = 0;
  int trace_ = -1;
  std::uint32_t opens_ = 0;
  std::array<OpenFile, 1024> files_;
};

Shim& shim() {
  static auto* instance = new Shim;  // never destroyed: calls may come until the very end
  return *instance;
}

template <typename Open>
int open_watched(int at, const char* path, int flags, Open&& open) {
  Shim& s = shim();
  const std::lock_guard lock(s.mutex);
  std::string name;
  if (!s.watches(at, path, name)) return open();
  const bool for_writing = (flags & O_ACCMODE) != O_RDONLY;
  if (!for_writing) {
    const int fd = open();
    s.opened(fd, name, false, (flags & O_DIRECTORY) != 0);
    return fd;
  }
  return s.around(open, [&](int fd) {
    s.opened(fd, name, true, false);
    s.note(EventKind::open, s.file(fd).number, 0, name);
    if ((flags & O_TRUNC) != 0) s.note(EventKind::truncate, s.file(fd).number, 0, {});
  });
}

/// fsync and its kin.
template <typename Sync>
int sync_watched(int fd, bool is_hint, Sync&& sync) {
  Shim& s = shim();
  const std::lock_guard lock(s.mutex);
  const OpenFile& known = s.file(fd);
  if (known.kind == OpenFile::unknown) return sync();
  return s.around(sync, [&](int) {
    if (is_hint)
      s.note(EventKind::hint, known.number, 0, {});
    else if (known.kind == OpenFile::folder)
      s.note(EventKind::sync_folder, 0, 0, known.name);
    else
      s.note(EventKind::sync_file, known.number, 0, {});
  });
}

template <typename Unlink>
int unlink_watched(int at, const char* path, Unlink&& unlink) {
  Shim& s = shim();
  const std::lock_guard lock(s.mutex);
  std::string name;
  if (!s.watches(at, path, name)) return unlink();
  return s.around(unlink, [&](int) { s.note(EventKind::unlink, 0, 0, name); });
}

template <typename Rename>
int rename_watched(int from_at, const char* from, int to_at, const char* to, Rename&& rename) {
  Shim& s = shim();
  const std::lock_guard lock(s.mutex);
  std::string old_name, new_name;
  if (!s.watches(from_at, from, old_name) || !s.watches(to_at, to, new_name)) return rename();
  return s.around(rename, [&](int) { s.note(EventKind::rename, 0, 0, old_name + '\0' + new_name); });
}

template <typename Write>
ssize_t write_watched(int fd, const void* bytes, size_t size, off_t offset, Write&& write) {
  Shim& s = shim();
  const std::lock_guard lock(s.mutex);
  if (s.file(fd).number == 0) return write(size);
  if (offset < 0) offset = lseek(fd, 0, SEEK_CUR);
  return s.around_write(fd, bytes, size, offset, write);
}

template <typename Truncate>
int truncate_watched(int fd, off_t size, Truncate&& truncate) {
  Shim& s = shim();
  const std::lock_guard lock(s.mutex);
  if (s.file(fd).number == 0) return truncate();
  return s.around(truncate,
                  [&](int) { s.note(EventKind::truncate, s.file(fd).number, static_cast<std::uint64_t>(size), {}); });
}

mode_t mode_of(int flags, va_list arguments) {
  return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

extern "C" {

#define ATHANOR_SHIM_OPEN(name)                                                          \
  int name(const char* path, int flags, ...) {                                           \
    va_list arguments;                                                                   \
    va_start(arguments, flags);                                                          \
    const mode_t mode = mode_of(flags, arguments);                                       \
    va_end(arguments);                                                                   \
    static auto* real = next<int(const char*, int, ...)>(#name);                         \
    return open_watched(AT_FDCWD, path, flags, [&] { return real(path, flags, mode); }); \
  }
#define ATHANOR_SHIM_OPENAT(name)                                                      \
  int name(int at, const char* path, int flags, ...) {                                 \
    va_list arguments;                                                                 \
    va_start(arguments, flags);                                                        \
    const mode_t mode = mode_of(flags, arguments);                                     \
    va_end(arguments);                                                                 \
    static auto* real = next<int(int, const char*, int, ...)>(#name);                  \
    return open_watched(at, path, flags, [&] { return real(at, path, flags, mode); }); \
  }
ATHANOR_SHIM_OPEN(open)
ATHANOR_SHIM_OPEN(open64)
ATHANOR_SHIM_OPENAT(openat)
ATHANOR_SHIM_OPENAT(openat64)

int close(int fd) {
  static auto* real = next<int(int)>("close");
  const std::lock_guard lock(shim().mutex);
  shim().file(fd) = {};
  return real(fd);
}

ssize_t write(int fd, const void* bytes, size_t size) {
  static auto* real = next<ssize_t(int, const void*, size_t)>("write");
  return write_watched(fd, bytes, size, -1, [&](size_t count) { return real(fd, bytes, count); });
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  static auto* real = next<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  return write_watched(fd, bytes, size, offset, [&](size_t count) { return real(fd, bytes, count, offset); });
}

ssize_t pwrite64(int fd, const void* bytes, size_t size, off_t offset) {
  return pwrite(fd, bytes, size, offset);
}

int ftruncate(int fd, off_t size) {
  static auto* real = next<int(int, off_t)>("ftruncate");
  return truncate_watched(fd, size, [&] { return real(fd, size); });
}

int ftruncate64(int fd, off_t size) {
  return ftruncate(fd, size);
}

int fsync(int fd) {
  static auto* real = next<int(int)>("fsync");
  return sync_watched(fd, false, [&] { return real(fd); });
}

int fdatasync(int fd) {
  static auto* real = next<int(int)>("fdatasync");
  return sync_watched(fd, false, [&] { return real(fd); });
}

int sync_file_range(int fd, off_t offset, off_t size, unsigned flags) {
  static auto* real = next<int(int, off_t, off_t, unsigned)>("sync_file_range");
  return sync_watched(fd, true, [&] { return real(fd, offset, size, flags); });
}

int rename(const char* from, const char* to) {
  static auto* real = next<int(const char*, const char*)>("rename");
  return rename_watched(AT_FDCWD, from, AT_FDCWD, to, [&] { return real(from, to); });
}

int renameat(int from_at, const char* from, int to_at, const char* to) {
  static auto* real = next<int(int, const char*, int, const char*)>("renameat");
  return rename_watched(from_at, from, to_at, to, [&] { return real(from_at, from, to_at, to); });
}

int unlink(const char* path) {
  static auto* real = next<int(const char*)>("unlink");
  return unlink_watched(AT_FDCWD, path, [&] { return real(path); });
}

int unlinkat(int at, const char* path, int flags) {
  static auto* real = next<int(int, const char*, int)>("unlinkat");
  return unlink_watched(at, path, [&] { return real(at, path, flags); });
}

int remove(const char* path) {
  static auto* real = next<int(const char*)>("remove");
  return unlink_watched(AT_FDCWD, path, [&] { return real(path); });
}

void athanor_fault_mark(const char* text) {
  const std::lock_guard lock(shim().mutex);
  shim().note(EventKind::mark, 0, 0, text);
}

}  // extern "C"
