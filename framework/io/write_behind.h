// Two blocks of memory between who makes a file's bytes and the disk: one is filled while a thread writes the other, so
// that neither waits for the slower one's work to begin. Internal to io/.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <thread>

#include "io/durable_file.h"

namespace athanor {

class WriteBehind {
 public:
  /// `file` must outlive it, and nobody else may write to it before finish().
  WriteBehind(DurableFile& file, std::size_t block_bytes);
  ~WriteBehind();
  WriteBehind(const WriteBehind&) = delete;
  WriteBehind& operator=(const WriteBehind&) = delete;

  /// The block to fill; not set to 0.
  std::span<std::byte> block() { return {blocks_[filling_].get(), block_bytes_}; }
  /// Has its first `bytes` appended to the file, and turns to the other block as soon as that is written. Throws what
  /// an earlier write threw.
  void pass_on(std::size_t bytes);
  /// Everything passed on is with the kernel. Throws what a write threw.
  void finish();

 private:
  void run();
  void wait_until_idle(std::unique_lock<std::mutex>& lock);

  DurableFile& file_;
  std::size_t block_bytes_;
  std::array<std::unique_ptr<std::byte[]>, 2> blocks_;
  std::size_t filling_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::span<const std::byte> writing_;  // empty: idle
  std::exception_ptr failure_;
  bool ending_ = false;
  std::thread thread_;  // last: it uses all the others
};

}  // namespace athanor
