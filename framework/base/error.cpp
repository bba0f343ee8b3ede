#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace athanor {

void check_failed(const char* file, int line, const char* condition, const std::string& message) {
  std::fprintf(stderr, "athanor: broken invariant at %s:%d: %s%s%s\nThis is a bug in Athanor; please report it.\n",
               file, line, condition, message.empty() ? "" : ": ", message.c_str());
  std::fflush(stderr);
  std::abort();
}

}  // namespace athanor
