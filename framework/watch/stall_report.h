// What is known of a job at the moment in which it is given up, for people.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "watch/frames.h"
#include "watch/job_picture.h"

namespace athanor::watch {

/// The calls of every rank, by rank: the rings that were gathered, else the newest call of its beats.
std::vector<std::vector<Collective>> known_calls(const JobPicture& picture,
                                                 const std::vector<std::optional<Rings>>& gathered);

/// One paragraph: `sentence`, what the other ranks are doing (`with_others`: where nobody gets on, so that it still
/// holds), the newest calls of the culprits; then the culprits' stacks, line by line, where they were gathered.
std::string stall_report(const JobPicture& picture, const std::vector<int>& culprits, const std::string& sentence,
                         const std::vector<std::optional<Rings>>& gathered, bool with_others = true);

}  // namespace athanor::watch
