#include "base/host_name.h"

#include <unistd.h>

#include <array>

namespace athanor {

std::string host_name() {
  std::array<char, 256> name{};
  // A name that fills the array may lack its end.
  if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

}  // namespace athanor
