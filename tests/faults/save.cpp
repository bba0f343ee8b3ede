// saver FOLDER STEP: what a run does at an interval, alone: makes sure of the folder, saves a checkpoint, removes the
// one before. Exit code 4 where the disk refused.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

#include "base/error.h"
#include "contents.h"
#include "io/checkpoint_folder.h"
#include "trace.h"

namespace {

void mark(const char* text) {
  const auto function = reinterpret_cast<athanor_fault_mark_function>(dlsym(RTLD_DEFAULT, "athanor_fault_mark"));
  if (function != nullptr) function(text);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) return 2;
  const athanor::CheckpointFolder folder(argv[1]);
  const std::int64_t step = std::atol(argv[2]);
  folder.prepare(athanor::faults::kBytesOfOne);
  athanor::write_checkpoint(folder.path_of(step), athanor::faults::contents_at(step));
  mark("durable");
  folder.prune(1, 0, std::nullopt, step);
  return 0;
} catch (const athanor::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return static_cast<int>(error.code());
}
