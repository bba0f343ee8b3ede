#include "backend/choice_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "base/text_file.h"

namespace athanor {
namespace {

StorageError failed(std::string_view what) {
  return StorageError("cannot {}: {}", what, std::strerror(errno));
}

class Descriptor {
 public:
  explicit Descriptor(const std::filesystem::path& file) {
    constexpr mode_t kReadableByAll = 0644;
    descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kReadableByAll);
    if (descriptor_ < 0) throw failed("write it");
  }
  ~Descriptor() { ::close(descriptor_); }  // which gives the lock up
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  /// Others hold the lock for as long as a short file takes to be read; one that is stopped meanwhile must not stop
  /// all.
  void lock() const {
    using namespace std::chrono_literals;
    constexpr std::chrono::milliseconds kPatience = 2s, kPause = 2ms;
    const auto give_up = std::chrono::steady_clock::now() + kPatience;
    while (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if ((errno != EWOULDBLOCK && errno != EINTR) || std::chrono::steady_clock::now() > give_up)
        throw failed("lock it");
      std::this_thread::sleep_for(kPause);
    }
  }
  int get() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

std::string read_all(int descriptor) {
  std::string text;
  char block[1 << 14];
  for (;;) {
    const ssize_t count = ::pread(descriptor, block, sizeof block, static_cast<off_t>(text.size()));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw failed("read it");
    if (count == 0) return text;
    text.append(block, static_cast<std::size_t>(count));
  }
}

void write_at(int descriptor, std::string_view text, std::size_t offset) {
  while (!text.empty()) {
    const ssize_t count = ::pwrite(descriptor, text.data(), text.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw failed("write it");
    text.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::size_t>(count);
  }
}

}  // namespace

std::string choice_cache_folder() {
  if (const char* folder = std::getenv("ATHANOR_CACHE")) return folder;
  if (const char* folder = std::getenv("XDG_CACHE_HOME"); folder != nullptr && *folder != '\0')
    return fmt::format("{}/athanor", folder);
  const char* home = std::getenv("HOME");
  return home == nullptr || *home == '\0' ? "" : fmt::format("{}/.cache/athanor", home);
}

std::string choice_file_name(std::string_view what, std::string_view where) {
  std::string name = fmt::format("{} {}.txt", what, where);
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '-') c = '_';
  }
  return name;
}

std::vector<std::vector<std::string>> choice_rows(const std::string& text, std::string_view first_line) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(text.substr(0, text.rfind('\n') + 1));
  std::string line;
  if (!std::getline(lines, line) || line != first_line) return rows;
  while (std::getline(lines, line)) {
    std::istringstream parts(line);
    rows.emplace_back();
    for (std::string field; std::getline(parts, field, '\t');) rows.back().push_back(field);
  }
  return rows;
}

Choices choices_from(const std::string& text, std::string_view first_line) {
  Choices choices;
  for (const std::vector<std::string>& row : choice_rows(text, first_line)) {
    if (row.size() >= 2 && !row[0].empty() && !row[1].empty()) choices.insert_or_assign(row[0], row[1]);
  }
  return choices;
}

std::string text_of(const Choices& choices, std::string_view first_line) {
  std::string text = fmt::format("{}\n", first_line);
  for (const auto& [key, value] : choices) text += fmt::format("{}\t{}\n", key, value);
  return text;
}

ChoiceFile::ChoiceFile(std::filesystem::path file, std::string first_line)
    : file_(std::move(file)), first_line_(std::move(first_line)) {}

std::optional<std::string> ChoiceFile::find(const std::string& key) {
  if (file_.empty()) return std::nullopt;
  const Choices held = choices_from(read_text(file_), first_line_);
  const auto found = held.find(key);
  return found == held.end() ? std::nullopt : std::optional(found->second);
}

bool ChoiceFile::keeps() {
  if (file_.empty() && !has_failed_) {
    log_warning("there is no folder to keep what is measured, so nothing is; set ATHANOR_CACHE to one");
    has_failed_ = true;
  }
  return !has_failed_;
}

std::optional<std::string> ChoiceFile::settle(const std::string& key, const std::string& value, std::string_view note,
                                              const std::optional<std::string>& unusable) {
  if (!keeps()) return std::nullopt;
  try {
    std::filesystem::create_directories(file_.parent_path());
    const Descriptor descriptor(file_);
    descriptor.lock();
    return settle_locked(descriptor.get(), key, value, note, unusable);
  } catch (const std::exception& error) {
    log_warning("what is measured cannot be kept in {}, so nothing is measured: {}; ATHANOR_CACHE names another folder",
                file_.string(), error.what());
    has_failed_ = true;
    return std::nullopt;
  }
}

std::string ChoiceFile::settle_locked(int descriptor, const std::string& key, const std::string& value,
                                      std::string_view note, const std::optional<std::string>& unusable) {
  const std::string held = read_all(descriptor);
  const Choices choices = choices_from(held, first_line_);
  if (const auto found = choices.find(key); found != choices.end() && found->second != unusable) return found->second;
  const std::string line = fmt::format("{}\t{}\t{}\n", key, value, note);
  if (held.starts_with(first_line_ + "\n")) {
    write_at(descriptor, held.ends_with('\n') ? line : "\n" + line, held.size());
  } else {
    if (::ftruncate(descriptor, 0) != 0) throw failed("write it");
    write_at(descriptor, first_line_ + "\n" + line, 0);
  }
  return value;
}

}  // namespace athanor
