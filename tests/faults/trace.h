// What the shim writes down of a program's way with the files of one folder, for the tests to read: a list of events,
// each a head and `size` bytes. No event: reads, and whatever failed.
#pragma once

#include <cstdint>

namespace athanor::faults {

enum class EventKind : std::uint32_t {
  open,         ///< for writing; bytes: the name. A new file where none by this name is
  write,        ///< bytes: what was written at `offset`
  truncate,     ///< to `offset` bytes
  sync_file,    ///< fsync, fdatasync
  sync_folder,  ///< bytes: the folder's name
  hint,         ///< sync_file_range, which promises nothing
  rename,       ///< bytes: old name, NUL, new name
  unlink,       ///< bytes: the name
  mark          ///< what the program says itself, by athanor_fault_mark; no call, so not counted
};

/// Names are relative to the folder that is watched; it itself is "".
struct EventHead {
  EventKind kind;
  std::uint32_t file;  ///< counts the opens from 1; for events of open files
  std::uint64_t offset;
  std::uint64_t size;
};

}  // namespace athanor::faults

extern "C" {
/// Leaves a mark in the trace. Resolved by dlsym, so that a program runs without the shim as well.
using athanor_fault_mark_function = void (*)(const char* text);
}
