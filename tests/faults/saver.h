// Runs the saver, or any program, under the shim, and reads what the shim wrote down.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "faults/trace.h"
#include "io/checkpoint_file.h"

namespace athanor::faults {

struct FaultSpec {
  std::string kind;  ///< as ATHANOR_FAULT_DO has it
  int at = 0;        ///< the call, from 1; 0: none fails
};

struct Event {
  EventKind kind;
  std::uint32_t file = 0;
  std::uint64_t offset = 0;
  std::string bytes;
};

/// Runs a program whose calls on files in `folder` are watched; what it prints is dropped. `trace`: empty for none.
/// Returns the exit code, or minus the signal that killed it.
int run_under_shim(const std::vector<std::string>& words, const std::filesystem::path& folder, const FaultSpec& fault,
                   const std::filesystem::path& trace);

/// Saves `step` into `folder`. Returns the exit code, or minus the signal that killed it.
int run_saver(const std::filesystem::path& folder, std::int64_t step, const FaultSpec& fault,
              const std::filesystem::path& trace);

std::vector<Event> read_trace(const std::filesystem::path& path);
/// The calls that the shim counts.
int count_calls(const std::vector<Event>& events);

}  // namespace athanor::faults
