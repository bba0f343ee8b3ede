#include "watch/stall_report.h"

namespace athanor::watch {

std::string stall_report(const JobPicture&, const std::vector<int>&, const std::string& sentence,
                         const std::vector<std::optional<Rings>>&) {
  return sentence;
}

}  // namespace athanor::watch
