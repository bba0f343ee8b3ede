// The pre-flight of a run: everything that can be found wrong before step 0, each with its fix, without training and
// without leaving anything behind. A failing check does not keep the later ones from being made.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "comm/communicator.h"
#include "preflight/finding.h"

namespace athanor {

struct CheckLine {
  CheckStatus status = CheckStatus::ok;
  std::string
      what;  ///< "recipe", "data", "images", "device", "batch", "model", "memory", "threads", "disk", "ranks";
             ///< deep: "launcher", "binding", "cgroup", "ulimits", "clocks", "shared", "speed", "content", "links"
  std::string text;  ///< what was found; of a failure what is wrong, where, and what to do
  ExitCode code = ExitCode::done;
};

struct CheckOptions {
  bool deep = false;          ///< read every image; the checks of deep_check.h too
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
