// Who holds up a job that does not get on, and the paragraph that says so.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "watch/frames.h"
#include "watch/job_picture.h"

namespace athanor::watch {

/// The paragraph for people, from what the ranks that still answer have told, by rank; then the stacks. `sentence`
/// comes first.
std::string stall_report(const JobPicture& picture, const std::vector<int>& culprits, const std::string& sentence,
                         const std::vector<std::optional<Rings>>& gathered);

}  // namespace athanor::watch
