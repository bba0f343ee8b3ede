// Chooses what backward makes again instead of keeping it (train.recompute): the smallest lane arena for little work.
#pragma once

#include <cstddef>
#include <functional>

#include "graph/passes/layout.h"

namespace athanor {

/// Bytes of the lane arena that a graph would be planned with.
using LaneBytes = std::function<std::size_t(const LaidOutGraph&)>;

/// Work that a node takes, in FLOPs: its own, and for each 4 bytes that it reads or writes as many as a core does in
/// the time in which it moves them.
double work_of(const LaidOutGraph& laid_out, const Node& node, const BackendPlanner& planner);

/// The part of a step's work that `train.recompute` may add.
inline constexpr double kRecomputedWork = 0.05;

/// The graph with activations made again in backward (passes/rematerialize.h), so that its lane arena is the smallest
/// of those tried that add at most `most_work` of the step's work; the bits are the same. Values are dropped where
/// making them again takes the least work a byte: norms with their ReLU, pooling, then convolutions of few channels.
/// What is made of what is itself made again comes back all at once, so every so many links of a chain one is kept.
LaidOutGraph recompute_activations(LaidOutGraph laid_out, BackendPlanner& planner, double most_work,
                                   const LaneBytes& lane_bytes);

}  // namespace athanor
