#include "train/provenance.h"

#include <fmt/format.h>

namespace athanor {
namespace {

#ifdef __clang__
constexpr const char* kCompiler = "Clang " __clang_version__;
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

}  // namespace

std::string provenance_text(const Backend& backend, const Hardware& hardware) {
  return fmt::format(
      "Athanor {}, {}, {}\n"
      "processor: {}\n"
      "kernels: {}\n"
      "host: {}\n",
      ATHANOR_VERSION, backend.versions(), kCompiler, hardware.cpu_model, hardware.isa, hardware.host);
}

}  // namespace athanor
