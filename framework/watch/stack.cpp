#include "watch/stack.h"

namespace athanor::watch {

void prepare_stacks() {}
std::string stacks_of_other_threads(int, double) {
  return {};
}

}  // namespace athanor::watch
