// How long each way of computing a convolution takes on this machine.
#pragma once

#include <chrono>
#include <span>
#include <vector>

#include "backend/cpu/arena.h"
#include "backend/cpu/convolution.h"
#include "backend/cpu/product_candidate.h"

namespace athanor::cpu {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start);

/// Numbers in [−1, 1) that are the same read as float32 or as bf16.
void fill_with_numbers(ArenaMemory& memory);

/// The same convolution of as many images as need little memory: what a plan that is too large for the machine is
/// measured with before that is known.
Convolution cut_for_timing(const Convolution& convolution);

/// Seconds of one run of each: the least of several, taken in turn, on memory of its own and a team of `threads`.
std::vector<double> time_candidates(std::span<const ProductCandidate> candidates, int threads);

}  // namespace athanor::cpu
