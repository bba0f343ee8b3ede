// Which build this is: what the linker wrote into the program and into Athanor's library. Two builds of one version
// differ.
#pragma once

#include <string>

namespace athanor {

/// Hexadecimal build IDs of the program and, where it is a library of its own, of Athanor: "3f0c… 9a71…". Empty where
/// the linker wrote none.
std::string build_id();

}  // namespace athanor
