// Which instruction set the hand-written kernels use: chosen once, at start-up, from what the processor offers.
#pragma once

#include <string_view>

namespace athanor::kernels {

enum class Isa { baseline, avx2, avx512 };

/// The best set that this processor and operating system support; ATHANOR_ISA=baseline|avx2|avx512 lowers it.
Isa active_isa();
/// No better one than `most` from now on, so that processors of several kinds compute the same. Before anything is
/// planned: what was chosen already stays.
void limit_isa(Isa most);
std::string_view name_of(Isa isa);
/// Whether the processor multiplies bfloat16 natively (AVX512-BF16 or AMX).
bool has_native_bf16();

}  // namespace athanor::kernels
