// Looks about once a second whether files are what they were, on a thread that nobody waits for: a file system that
// hangs for a minute holds up neither the batches of a data set in memory nor the end of the run.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <vector>

#include "data/source_file.h"

namespace athanor {

class FileWatch {
 public:
  /// `on_change` is called once, from the watch's thread, with the DataError of SourceFiles::want_unchanged; nothing is
  /// looked at any more then. It must not destroy the watch.
  FileWatch(std::vector<std::shared_ptr<const SourceFiles>> files, std::function<void(std::exception_ptr)> on_change);
  /// Nothing is called afterwards. A look that hangs is left to itself: it owns what it looks at.
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace athanor
