#include "watch/job_picture.h"

namespace athanor::watch {

std::string_view name_of(Presence presence) {
  switch (presence) {
    case Presence::expected:
      return "expected";
    case Presence::connected:
      return "connected";
    case Presence::silent:
      return "silent";
    case Presence::lost:
      return "lost";
    case Presence::left:
      return "left";
  }
  return "unknown";
}

}  // namespace athanor::watch
