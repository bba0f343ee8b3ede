#include "watch/judge.h"

#include <fmt/format.h>

#include <algorithm>

#include "watch/wording.h"

namespace athanor::watch {

std::vector<Finding> Judge::look(const JobPicture& picture, double now_s) {
  std::vector<Finding> findings;
  memory_.resize(picture.ranks.size());
  timeout_s_ = options_.shortest_timeout_s;
  if (last_look_s_ && now_s > *last_look_s_ + 3) forgiven_until_s_ = now_s;
  last_look_s_ = now_s;
  return findings;
}

}  // namespace athanor::watch
