// The processor's name, as the kernel tells it.
#pragma once

#include <filesystem>
#include <string>

namespace athanor {

/// "AMD EPYC 9654 96-Core Processor", as proc/cpuinfo below `root` says; "unknown processor" where it does not.
std::string cpu_model(const std::filesystem::path& root = "/");

}  // namespace athanor
