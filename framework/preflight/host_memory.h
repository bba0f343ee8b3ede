// Whether what the ranks of one host will hold together fits into the memory that the job was given there.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "preflight/finding.h"
#include "train/control_groups.h"

namespace athanor {

/// Of one rank.
struct RankMemory {
  std::string host;
  std::uint64_t planned_bytes = 0;  ///< of host memory at the run's peak; 0: not known
  std::uint64_t to_come_bytes = 0;  ///< of them, those that this process does not hold yet
  std::uint64_t limit_bytes = 0;    ///< of the control group; 0: none
  std::uint64_t left_bytes = 0;     ///< below that limit, or of the machine
  std::string group;                ///< its folder
};

/// As one text, to gather.
std::string text_of_memory(const RankMemory& memory);
RankMemory memory_of_text(const std::string& text, const std::string& host);

/// `ranks`: all of the job. Fails where a host's limit is below what its ranks plan together, warns where it is above
/// that but what is left is not.
Finding judge_host_memory(std::span<const RankMemory> ranks);

}  // namespace athanor
