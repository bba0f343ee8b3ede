#include "train/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <iterator>

#include "train/units_text.h"

namespace athanor {
namespace {

constexpr std::chrono::milliseconds kRedrawInterval{100};
constexpr double kFirstPlainInterval_s = 10, kLastPlainInterval_s = 60, kPlainGrowth = 1.5;
constexpr std::size_t kBarWidth = 24, kNarrowestBar = 6;

using Piece = fmt::basic_memory_buffer<char, 64>;

std::size_t terminal_width(std::FILE* out) {
  winsize size{};
  return ::ioctl(::fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool wants_colour(bool terminal) {
  const char* const no_colour = std::getenv("NO_COLOR");
  return terminal && (no_colour == nullptr || *no_colour == '\0');
}

template <typename... Args>
void put(Piece& piece, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(piece), format, std::forward<Args>(args)...);
}

void append_text(fmt::memory_buffer& line, std::string_view text) {
  line.append(text.data(), text.data() + text.size());
}

}  // namespace

bool is_terminal(std::FILE* out) {
  const char* const term = std::getenv("TERM");
  return ::isatty(::fileno(out)) == 1 && !(term != nullptr && std::string_view(term) == "dumb");
}

Progress::Progress(bool terminal, std::FILE* out, std::int64_t total_steps, std::int64_t steps_per_epoch,
                   std::int64_t epochs)
    : terminal_(terminal),
      colour_(wants_colour(terminal)),
      out_(out),
      total_steps_(total_steps),
      steps_per_epoch_(steps_per_epoch),
      epochs_(epochs),
      plain_interval_s_(kFirstPlainInterval_s),
      finished_(out == nullptr) {}

void Progress::step(const StepLine& line) {
  const std::lock_guard lock(mutex_);
  if (finished_) return;
  const Clock::time_point now = clock_();
  last_ = line;
  if (lags()) slowest_host_ = line.slowest_host;
  if (first_step_ < 0) {
    first_step_ = line.step;
    first_time_ = shown_ = now;
  }
  if (std::isfinite(line.images_per_s)) {
    window_ms_ += line.step_ms;
    window_wait_ms_ += line.data_wait_ms;
    window_images_ += line.images_per_s * line.step_ms / 1000;
  }
  if (terminal_) {
    if (!drawn_ || now - shown_ >= kRedrawInterval) draw(now);
    return;
  }
  const bool due = std::chrono::duration<double>(now - shown_).count() >= plain_interval_s_;
  if (due) plain_interval_s_ = std::min(plain_interval_s_ * kPlainGrowth, kLastPlainInterval_s);
  if (due || epoch_ended()) print_plain(now);
}

void Progress::evaluation(const EvalLine& line) {
  const std::lock_guard lock(mutex_);
  if (finished_) return;
  accuracy_ = line.accuracy;
  line_.clear();
  fmt::format_to(std::back_inserter(line_), "epoch {}/{}  {} loss {}, accuracy {:.2f} % of {}", line.epoch, epochs_,
                 line.split, number_text(line.loss), line.accuracy * 100, plural(line.samples, "image"));
  print_line({line_.data(), line_.size()});
  if (drawn_) draw(clock_());
}

void Progress::note(std::string_view message) {
  const std::lock_guard lock(mutex_);
  if (out_ == nullptr) return;
  print_line(message);
  if (drawn_ && !finished_) draw(clock_());
}

void Progress::finish() {
  const std::lock_guard lock(mutex_);
  if (finished_) return;
  finished_ = true;
  if (!drawn_) return;
  draw(clock_());
  std::fputc('\n', out_);
  std::fflush(out_);
}

/// Takes the steps since the last call into what is shown.
void Progress::update_rates(Clock::time_point now) {
  if (window_ms_ > 0) {
    images_rate_.add(window_images_, window_ms_ / 1000);
    wait_rate_.add(window_wait_ms_ / 1000, window_ms_ / 1000);
  }
  window_ms_ = window_wait_ms_ = window_images_ = 0;
  shown_ = now;
}

/// From the mean time of a step since the first one, evaluations included; negative while unknown.
double Progress::seconds_left(Clock::time_point now) const {
  if (last_.step <= first_step_) return last_.step == total_steps_ ? 0 : -1;
  const double passed_s = std::chrono::duration<double>(now - first_time_).count();
  return passed_s / static_cast<double>(last_.step - first_step_) * static_cast<double>(total_steps_ - last_.step);
}

void Progress::print_plain(Clock::time_point now) {
  update_rates(now);
  line_.clear();
  const auto out = std::back_inserter(line_);
  fmt::format_to(out, "epoch {}/{}  step {}/{}  loss {}", last_.epoch, epochs_, last_.step, total_steps_,
                 number_text(last_.loss));
  if (accuracy_ >= 0) fmt::format_to(out, "  accuracy {:.2f} %", accuracy_ * 100);
  fmt::format_to(out, "  {} images/s  data wait {:.1f} %  left {}", count_text(std::llround(images_rate_.per_second())),
                 wait_rate_.per_second() * 100, duration_text(seconds_left(now)));
  if (lags()) {
    fmt::format_to(out, "  slowest rank {} on {} ({:.1f} ms behind)", last_.slowest_rank, slowest_host_,
                   last_.slowest_lag_ms);
  }
  print_line({line_.data(), line_.size()});
}

void Progress::draw(Clock::time_point now) {
  update_rates(now);
  std::array<Piece, 7> pieces;
  put(pieces[0], "epoch {}/{}", last_.epoch, epochs_);
  put(pieces[1], "loss {}", number_text(last_.loss));
  if (accuracy_ >= 0) put(pieces[2], "accuracy {:.2f} %", accuracy_ * 100);
  put(pieces[3], "{} images/s", count_text(std::llround(images_rate_.per_second())));
  put(pieces[4], "wait {:.1f} %", wait_rate_.per_second() * 100);
  put(pieces[5], "left {}", duration_text(seconds_left(now)));
  if (lags()) put(pieces[6], "slowest rank {} on {}", last_.slowest_rank, slowest_host_);

  // The last column stays free, or some terminals wrap. Where not all fits, the less needed goes first.
  const std::size_t width = terminal_width(out_) - 1;
  std::size_t used = 0;
  std::array<bool, 7> fits{};
  for (const std::size_t i : {0, 1, 2, 5, 3, 4, 6}) {
    const std::size_t needed = pieces[i].size() + (used > 0 ? 2 : 0);
    fits[i] = pieces[i].size() > 0 && used + needed <= width;
    if (fits[i]) used += needed;
  }
  line_.clear();
  append_text(line_, "\r");
  if (used + kNarrowestBar + 4 <= width) {
    const std::size_t bar = std::min(kBarWidth, width - used - 4);
    const double done = total_steps_ > 0 ? static_cast<double>(last_.step) / static_cast<double>(total_steps_) : 0;
    const auto full = static_cast<std::size_t>(std::clamp(done, 0.0, 1.0) * static_cast<double>(bar));
    fmt::format_to(std::back_inserter(line_), "[{}{:=<{}}{}{:.<{}}]", colour_ ? "\x1b[36m" : "", "", full,
                   colour_ ? "\x1b[0m" : "", "", bar - full);
    if (used > 0) append_text(line_, "  ");
  }
  bool first = true;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (!fits[i]) continue;
    if (!first) append_text(line_, "  ");
    append_text(line_, {pieces[i].data(), pieces[i].size()});
    first = false;
  }
  append_text(line_, "\x1b[K");
  std::fwrite(line_.data(), 1, line_.size(), out_);
  std::fflush(out_);
  drawn_ = true;
}

/// A whole line, in place of the bar.
void Progress::print_line(std::string_view text) {
  if (drawn_ && !finished_) std::fputs("\r\x1b[K", out_);
  std::fwrite(text.data(), 1, text.size(), out_);
  std::fputc('\n', out_);
  std::fflush(out_);
}

}  // namespace athanor
