#include "watch/stack.h"

#include <cxxabi.h>
#include <dirent.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "watch/errand.h"

namespace athanor::watch {
namespace {

constexpr int kMostFrames = 40;
/// The handler, and the kernel's frame that returns from it.
constexpr int kHandlerFrames = 2;
constexpr pid_t kAnswering = -1;
constexpr double kNamesTime_s = 0.5;

/// Where the stopped thread leaves its frames, one thread at a time; global because a signal handler gets nothing else.
/// A thread that answers too late finds that it is not asked any more, and leaves nothing.
struct Answer {
  std::atomic<pid_t> asked{0};  ///< 0: none, or it has answered; kAnswering: the asked one writes its frames
  int count = 0;
  std::array<void*, kMostFrames> frames{};
};
Answer answer;

/// A thread's own part of the text.
struct Stack {
  std::string head;  ///< who it is, and what the kernel says of it
  std::vector<void*> frames;
};

int stack_signal() {
  return SIGRTMIN + 11;
}

void take_stack(int, siginfo_t*, void*) {
  const int error_before = errno;
  pid_t self = static_cast<pid_t>(syscall(SYS_gettid));
  if (answer.asked.compare_exchange_strong(self, kAnswering)) {
    answer.count = backtrace(answer.frames.data(), kMostFrames);
    // Also where nobody waits for it any more: the next one can be asked.
    answer.asked.store(0, std::memory_order_release);
  }
  errno = error_before;
}

std::vector<pid_t> other_threads() {
  std::vector<pid_t> threads;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/task"), &closedir);
  if (!folder) return threads;
  const auto self = static_cast<pid_t>(syscall(SYS_gettid));
  while (const dirent* entry = readdir(folder.get())) {
    const auto id = static_cast<pid_t>(std::atoi(entry->d_name));
    if (id > 0 && id != self && id != errand_thread()) threads.push_back(id);
  }
  // The first thread has the number of the process; the others as they were started.
  std::sort(threads.begin(), threads.end(),
            [pid = getpid()](pid_t a, pid_t b) { return std::pair(a != pid, a) < std::pair(b != pid, b); });
  return threads;
}

std::string first_line(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

/// "state D, in the kernel's futex_wait_queue".
std::string kernel_state(pid_t thread) {
  const std::string folder = fmt::format("/proc/self/task/{}/", thread);
  const std::string stat = first_line(folder + "stat");
  const std::size_t end = stat.rfind(')');
  const std::string state = end == std::string::npos || end + 2 >= stat.size() ? "?" : stat.substr(end + 2, 1);
  const std::string wait = first_line(folder + "wchan");
  return fmt::format("state {}{}", state, wait.empty() || wait == "0" ? "" : ", in the kernel's " + wait);
}

/// "athanor::Loader::next()+0x1c (libathanor.so)". Code that was generated in the run, as oneDNN's is, is in no file
/// and says nothing of its callers either.
std::string frame_text(void* address) {
  Dl_info info{};
  if (dladdr(address, &info) == 0) return fmt::format("{} (generated code, whose callers are unknown)", address);
  const char* const slash = info.dli_fname == nullptr ? nullptr : std::strrchr(info.dli_fname, '/');
  const char* const file = slash == nullptr ? info.dli_fname : slash + 1;
  if (info.dli_sname == nullptr) {
    return fmt::format("{}+{:#x}", file == nullptr ? "?" : file,
                       static_cast<const char*>(address) - static_cast<const char*>(info.dli_fbase));
  }
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> readable(abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status),
                                                        &std::free);
  return fmt::format("{}+{:#x} ({})", readable ? readable.get() : info.dli_sname,
                     static_cast<const char*>(address) - static_cast<const char*>(info.dli_saddr), file);
}

bool is_answered(pid_t thread, double wait_s) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::duration<double>(wait_s);
  const bool is_sent = syscall(SYS_tgkill, getpid(), thread, stack_signal()) == 0;
  while (is_sent && Clock::now() < until) {
    if (answer.asked.load(std::memory_order_acquire) == 0) return true;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  // Unless it is answering just now, it is not asked any more.
  pid_t still = thread;
  answer.asked.compare_exchange_strong(still, 0);
  return still == 0;
}

Stack stack_of(pid_t thread, double wait_s) {
  const std::string name = first_line(fmt::format("/proc/self/task/{}/comm", thread));
  const std::string state = kernel_state(thread);
  Stack stack{fmt::format("  thread {} ({}), {}", thread, name, state), {}};
  // One that has begun to answer, but has not ended, still holds the place for frames.
  if (answer.asked.load(std::memory_order_acquire) == kAnswering) {
    stack.head += "; not asked";
    return stack;
  }
  answer.asked.store(thread, std::memory_order_release);
  if (!is_answered(thread, wait_s)) {
    stack.head += "; does not answer";
    return stack;
  }
  const auto count = static_cast<std::size_t>(std::max(answer.count, 0));
  for (std::size_t i = std::min<std::size_t>(kHandlerFrames, count); i < count; ++i) {
    stack.frames.push_back(answer.frames[i]);
  }
  return stack;
}

/// "  thread 12 (athanor), state R" and a line for each frame, in the words of `say`.
template <typename Say>
std::string text_of(const std::vector<Stack>& stacks, Say say) {
  std::string text;
  for (const Stack& stack : stacks) {
    text += stack.head + "\n";
    for (void* const frame : stack.frames) text += fmt::format("    {}\n", say(frame));
  }
  return text;
}

/// The files that this process has mapped, as the kernel knows them: "libathanor.so+0x1f2a40", an offset in the file.
std::string frame_place(void* address) {
  std::ifstream maps("/proc/self/maps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0, end = 0, offset = 0;
    int path = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %*s %lx %*s %*s %n", &begin, &end, &offset, &path) < 3) continue;
    if (wanted < begin || wanted >= end) continue;
    const std::string file = line.substr(static_cast<std::size_t>(path));
    return fmt::format("{}+{:#x}", file.substr(file.rfind('/') + 1), wanted - begin + offset);
  }
  return fmt::format("{}", address);
}

/// The linker's lock is in the way of names: a thread that is stuck in dlopen holds it. Where names take too long, the
/// places in files have to do.
std::string text_within(const std::vector<Stack>& stacks, double wait_s) {
  const auto named = std::make_shared<std::string>();
  if (run_errand([stacks, named] { *named = text_of(stacks, frame_text); }, wait_s)) return *named;
  return text_of(stacks, frame_place) + "  (no names: is a thread stuck in dlopen?)\n";
}

}  // namespace

void prepare_stacks() {
  prepare_errands();
  static std::once_flag once;
  std::call_once(once, [] {
    void* frame = nullptr;
    backtrace(&frame, 1);
    struct sigaction action {};
    action.sa_sigaction = take_stack;
    action.sa_flags = SA_RESTART | SA_SIGINFO;
    sigfillset(&action.sa_mask);
    sigaction(stack_signal(), &action, nullptr);
  });
}

std::string stacks_of_other_threads(int most_threads, double wait_s) {
  const std::vector<pid_t> threads = other_threads();
  const std::size_t count = std::min(threads.size(), static_cast<std::size_t>(most_threads));
  std::vector<Stack> stacks;
  for (std::size_t i = 0; i < count; ++i) stacks.push_back(stack_of(threads[i], wait_s));
  const std::string text = text_within(stacks, kNamesTime_s);
  return threads.size() == count ? text : text + fmt::format("  and {} more threads\n", threads.size() - count);
}

}  // namespace athanor::watch
