#include "train/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <iterator>

#include "base/error.h"
#include "base/log.h"

namespace athanor {
namespace {

constexpr std::chrono::seconds kFlushInterval{1};
/// A second of lines of a fast run; the buffer grows once where that is not enough.
constexpr std::size_t kBufferBytes = std::size_t{1} << 17;

void append(fmt::memory_buffer& buffer, std::string_view text) {
  buffer.append(text.data(), text.data() + text.size());
}

void append_number(fmt::memory_buffer& buffer, std::string_view key, double value) {
  append(buffer, key);
  // The shortest digits that read back as the same double; JSON knows no inf and no nan.
  if (std::isfinite(value)) {
    fmt::format_to(std::back_inserter(buffer), "{}", value);
  } else {
    append(buffer, "null");
  }
}

/// A JSON string. Bytes that are no UTF-8 go as they are.
void append_quoted(fmt::memory_buffer& buffer, std::string_view text) {
  append(buffer, "\"");
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      const char escaped[] = {'\\', c};
      append(buffer, {escaped, 2});
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(buffer), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      buffer.push_back(c);
    }
  }
  append(buffer, "\"");
}

/// A file that is new lasts once its folder is on the disk. Where that fails, the first checkpoint says more.
void sync_folder(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

}  // namespace

MetricsLog::MetricsLog(const std::filesystem::path& file)
    : file_(file),
      descriptor_(file.empty() ? -1 : ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  if (file.empty()) return;
  if (descriptor_ < 0) throw StorageError("cannot write {}: {}", file.string(), std::strerror(errno));
  sync_folder(file);
  pending_.reserve(kBufferBytes);
  flushed_ = std::chrono::steady_clock::now();
}

MetricsLog::~MetricsLog() {
  flush();
  if (descriptor_ >= 0) ::close(descriptor_);
}

void MetricsLog::train(const StepLine& line) {
  if (descriptor_ < 0) return;
  const std::size_t begin = pending_.size();
  fmt::format_to(std::back_inserter(pending_), R"({{"kind":"train","step":{},"epoch":{},"samples":{})", line.step,
                 line.epoch, line.samples);
  append_number(pending_, R"(,"loss":)", line.loss);
  append_number(pending_, R"(,"lr":)", line.lr);
  append_number(pending_, R"(,"images_per_s":)", line.images_per_s);
  append_number(pending_, R"(,"step_ms":)", line.step_ms);
  append_number(pending_, R"(,"data_wait_ms":)", line.data_wait_ms);
  append_number(pending_, R"(,"comm_exposed_ms":)", line.comm_exposed_ms);
  append_number(pending_, R"(,"grad_norm":)", line.grad_norm);
  fmt::format_to(std::back_inserter(pending_), R"(,"comm_bytes":{},"slowest_rank":{},"slowest_host":)", line.comm_bytes,
                 line.slowest_rank);
  append_quoted(pending_, line.slowest_host);
  append(pending_, "}\n");
  end_line(begin);
  if (std::chrono::steady_clock::now() - flushed_ >= kFlushInterval) flush();
}

void MetricsLog::evaluation(const EvalLine& line) {
  if (descriptor_ < 0) return;
  const std::size_t begin = pending_.size();
  fmt::format_to(std::back_inserter(pending_), R"({{"kind":"eval","step":{},"epoch":{},"split":"{}")", line.step,
                 line.epoch, line.split);
  append_number(pending_, R"(,"loss":)", line.loss);
  append_number(pending_, R"(,"accuracy":)", line.accuracy);
  append_number(pending_, R"(,"top5":)", line.top5);
  fmt::format_to(std::back_inserter(pending_), ",\"samples\":{}}}\n", line.samples);
  end_line(begin);
  flush();
}

void MetricsLog::checkpoint(const CheckpointLine& line) {
  if (descriptor_ < 0) return;
  const std::size_t begin = pending_.size();
  fmt::format_to(std::back_inserter(pending_), R"({{"kind":"checkpoint","step":{})", line.step);
  append_number(pending_, R"(,"stall_ms":)", line.stall_ms);
  append_number(pending_, R"(,"write_ms":)", line.write_ms);
  fmt::format_to(std::back_inserter(pending_), R"(,"bytes":{},"path":)", line.bytes);
  append_quoted(pending_, line.path);
  append(pending_, "}\n");
  end_line(begin);
  flush();
}

/// A line that begins at `begin` stays only where there is room.
void MetricsLog::end_line(std::size_t begin) {
  if (pending_.size() <= kMostWaiting) return;
  pending_.resize(begin);
  ++dropped_;
}

void MetricsLog::sync() const {
  if (descriptor_ < 0) return;
  if (failing_) throw StorageError("{} cannot be written, which must be there first; free some space", file_.string());
  if (::fsync(descriptor_) != 0 && errno != EINVAL) {
    throw StorageError("cannot write {}: {}; free some space", file_.string(), std::strerror(errno));
  }
}

void MetricsLog::flush() {
  if (descriptor_ < 0) return;
  std::size_t done = 0;
  int error = 0;
  while (error == 0 && done < pending_.size()) {
    const ssize_t written = ::write(descriptor_, pending_.data() + done, pending_.size() - done);
    if (written >= 0) {
      done += static_cast<std::size_t>(written);
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  // What was not taken goes first the next time: half a line is completed.
  std::memmove(pending_.data(), pending_.data() + done, pending_.size() - done);
  pending_.resize(pending_.size() - done);
  flushed_ = std::chrono::steady_clock::now();
  if (error != 0 && !failing_.exchange(true)) {
    log_warning("cannot write {}: {}; training goes on, its lines wait; free some space", file_.string(),
                std::strerror(error));
  } else if (error == 0 && failing_.exchange(false)) {
    log_info("{} can be written again{}", file_.string(),
             dropped_ == 0 ? "" : fmt::format("; {} lines found no room to wait and are lost", dropped_));
  }
}

}  // namespace athanor
