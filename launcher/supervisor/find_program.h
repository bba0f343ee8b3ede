// Where on PATH a program lies, as a shell would find it.
#pragma once

#include <string>

namespace athanor {

/// The path; "" where there is none. A name with a '/' is a path already.
std::string find_program(const std::string& name);

}  // namespace athanor
