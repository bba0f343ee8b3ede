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
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace athanor::watch {
namespace {

constexpr int kMostFrames = 40;
/// The handler, and the kernel's frame that returns from it.
constexpr int kHandlerFrames = 2;
constexpr pid_t kAnswering = -1;

/// Where the stopped thread leaves its frames, one thread at a time; global because a signal handler gets nothing else.
/// A thread that answers too late finds that it is not asked any more, and leaves nothing.
struct Answer {
  std::atomic<pid_t> asked{0};  ///< 0: none; kAnswering: the asked one writes its frames
  std::atomic<int> count{-1};
  std::array<void*, kMostFrames> frames{};
};
Answer answer;

int stack_signal() {
  return SIGRTMIN + 11;
}

void take_stack(int, siginfo_t*, void*) {
  const int error_before = errno;
  pid_t self = static_cast<pid_t>(syscall(SYS_gettid));
  if (answer.asked.compare_exchange_strong(self, kAnswering)) {
    const int count = backtrace(answer.frames.data(), kMostFrames);
    answer.count.store(count, std::memory_order_release);
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
    if (id > 0 && id != self) threads.push_back(id);
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

/// "athanor::Loader::next()+0x1c (libathanor.so)".
std::string frame_text(void* address) {
  Dl_info info{};
  if (dladdr(address, &info) == 0) return fmt::format("{}", address);
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
    if (answer.count.load(std::memory_order_acquire) >= 0) {
      answer.asked.store(0, std::memory_order_release);
      return true;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  // Unless it is answering just now, it is not asked any more.
  pid_t still = thread;
  answer.asked.compare_exchange_strong(still, 0);
  return false;
}

std::string stack_of(pid_t thread, double wait_s) {
  const std::string name = first_line(fmt::format("/proc/self/task/{}/comm", thread));
  const std::string state = kernel_state(thread);
  std::string text = fmt::format("  thread {} ({}), {}", thread, name, state);
  // One that has begun to answer and never ended still holds the place for frames.
  if (answer.asked.load(std::memory_order_acquire) == kAnswering) return text + "; not asked\n";
  answer.count.store(-1, std::memory_order_relaxed);
  answer.asked.store(thread, std::memory_order_release);
  if (!is_answered(thread, wait_s)) return text + "; does not answer\n";
  text += "\n";
  const int count = answer.count.load(std::memory_order_acquire);
  for (int i = std::min(kHandlerFrames, count); i < count; ++i) {
    text += fmt::format("    {}\n", frame_text(answer.frames[static_cast<std::size_t>(i)]));
  }
  return text;
}

}  // namespace

void prepare_stacks() {
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
  std::string text;
  const std::vector<pid_t> threads = other_threads();
  for (std::size_t i = 0; i < threads.size(); ++i) {
    if (i == static_cast<std::size_t>(most_threads)) {
      return text + fmt::format("  and {} more threads\n", threads.size() - i);
    }
    text += stack_of(threads[i], wait_s);
  }
  return text;
}

}  // namespace athanor::watch
