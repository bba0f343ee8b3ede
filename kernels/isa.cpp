#include "kernels/isa.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string>

namespace athanor::kernels {
namespace {

Isa detect() {
  Isa best = Isa::baseline;
  if (__builtin_cpu_supports("x86-64-v3")) best = Isa::avx2;
  if (__builtin_cpu_supports("x86-64-v4")) best = Isa::avx512;
  if (const char* asked = std::getenv("ATHANOR_ISA")) {
    const std::string name = asked;
    if (name == "baseline") return Isa::baseline;
    if (name == "avx2" && best != Isa::baseline) return Isa::avx2;
  }
  return best;
}

std::atomic<Isa>& chosen() {
  static std::atomic<Isa> isa = detect();
  return isa;
}

}  // namespace

Isa active_isa() {
  return chosen().load(std::memory_order_relaxed);
}

void limit_isa(Isa most) {
  chosen() = std::min(active_isa(), most);
}

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    case Isa::baseline:
      break;
  }
  return "baseline";
}

bool has_native_bf16() {
  return __builtin_cpu_supports("avx512bf16");
}

}  // namespace athanor::kernels
