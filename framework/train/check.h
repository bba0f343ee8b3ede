// The pre-flight of a run: everything that can be found wrong before step 0, each with its fix, without training and
// without writing anything. A failing check does not keep the later ones from being made.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "comm/communicator.h"

namespace athanor {

enum class CheckStatus : std::uint8_t {
  ok,
  warning,  ///< works, but probably not as meant
  failed,
  skipped  ///< depends on a check that failed
};

struct CheckLine {
  CheckStatus status = CheckStatus::ok;
  std::string what;  ///< "recipe", "data", "images", "device", "batch", "model", "memory", "threads", "disk", "ranks"
  std::string text;  ///< what was found; of a failure what is wrong, where, and what to do
  ExitCode code = ExitCode::done;
};

struct CheckOptions {
  bool deep = false;          ///< read every image
  std::filesystem::path run;  ///< run folder; empty: runs/NAME
};

/// All checks in a fixed order, made by every rank for itself; of each, the worst that any rank found, with that rank's
/// name where they differ. The same lines on all ranks. Collective. Throws nothing that a check is about.
std::vector<CheckLine> check_recipe(const std::string& path, std::span<const std::string> overrides,
                                    const CheckOptions& options, Communicator& communicator);

/// That of the first failing line; done where none fails.
ExitCode exit_code_of(const std::vector<CheckLine>& lines);

/// "ok    data     …", "FAIL  memory   …"; ended. Further lines of a message are indented.
std::string text_of(const CheckLine& line);

}  // namespace athanor
