#include "faults/saver.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>

namespace athanor::faults {

int run_under_shim(const std::vector<std::string>& words, const std::filesystem::path& folder, const FaultSpec& fault,
                   const std::filesystem::path& trace) {
  constexpr unsigned kDeadlineSeconds = 60;
  const std::string at = std::to_string(fault.at);
  std::vector<std::string> copies = words;
  std::vector<char*> argv;
  for (std::string& word : copies) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) {
    setenv("LD_PRELOAD", ATHANOR_FAULT_SHIM, 1);
    // The address sanitizer wants to be first, which does not matter to the shim.
    setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
    setenv("ATHANOR_FAULT_FOLDER", folder.c_str(), 1);
    setenv("ATHANOR_FAULT_AT", at.c_str(), 1);
    setenv("ATHANOR_FAULT_DO", fault.kind.c_str(), 1);
    if (!trace.empty()) setenv("ATHANOR_FAULT_TRACE", trace.c_str(), 1);
    const int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    alarm(kDeadlineSeconds);
    execv(argv[0], argv.data());
    _exit(127);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) throw std::runtime_error("cannot wait");
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int run_saver(const std::filesystem::path& folder, std::int64_t step, const FaultSpec& fault,
              const std::filesystem::path& trace) {
  return run_under_shim({ATHANOR_FAULT_SAVER, folder.string(), std::to_string(step)}, folder, fault, trace);
}

std::vector<Event> read_trace(const std::filesystem::path& path) {
  std::vector<Event> events;
  std::ifstream file(path, std::ios::binary);
  EventHead head{};
  while (file.read(reinterpret_cast<char*>(&head), sizeof head)) {
    Event event{head.kind, head.file, head.offset, std::string(head.size, '\0')};
    if (!file.read(event.bytes.data(), static_cast<std::streamsize>(head.size))) throw std::runtime_error("torn trace");
    events.push_back(std::move(event));
  }
  return events;
}

int count_calls(const std::vector<Event>& events) {
  return static_cast<int>(
      std::count_if(events.begin(), events.end(), [](const Event& event) { return event.kind != EventKind::mark; }));
}

}  // namespace athanor::faults
